"""Settings: one documented file (``tonnage.toml``), and an environment variable for every key.

Belongs here: what can be configured (``model``, which brings the tables together), its defaults,
and how it is read and explained. Knows no other package of ``app``.
"""

from __future__ import annotations

from app.settings.load import find_file, load_settings
from app.settings.model import Settings
from app.settings.serving import RunnerSettings

__all__ = ["RunnerSettings", "Settings", "find_file", "load_settings"]
