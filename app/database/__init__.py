"""The database: engine, column types, models, migrations.

``open_database`` is the way in. It is loaded on first use, because importing SQLAlchemy would
slow down ``tonnage --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.database.engine import Database
    from app.database.opening import open_database

__all__ = ["Database", "open_database"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'app.database' has no attribute {name!r}")
    from app.database import opening

    return getattr(opening, name)
