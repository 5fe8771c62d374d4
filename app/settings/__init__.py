"""Settings: one documented file (``tonnage.toml``), and an environment variable for every key.

Belongs here: what can be configured (``model``), its defaults, and how it is read and explained.
Knows no other package of ``app``.
"""

from __future__ import annotations

from app.settings.load import find_file, load_settings
from app.settings.model import (
    BudgetSettings,
    ParameterCap,
    ProbeSettings,
    RunnerSettings,
    Scaling,
    ServiceSettings,
    Settings,
    TierSpaces,
    WorkloadSettings,
)

__all__ = [
    "BudgetSettings",
    "ParameterCap",
    "ProbeSettings",
    "RunnerSettings",
    "Scaling",
    "ServiceSettings",
    "Settings",
    "TierSpaces",
    "WorkloadSettings",
    "find_file",
    "load_settings",
]
