from tests.app.knowledge.conftest import folder, service, settings

__all__ = ["folder", "service", "settings"]
