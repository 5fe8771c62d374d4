"""Settings: one documented file (``tonnage.toml``), and an environment variable for every key.

Belongs here: what can be configured (``model``), its defaults, and how it is read and explained.
Knows no other package of ``app``.
"""

from __future__ import annotations

from app.settings.load import find_file, load_settings
from app.settings.model import RunnerSettings, Settings

__all__ = ["RunnerSettings", "Settings", "find_file", "load_settings"]
