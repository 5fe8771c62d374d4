"""Settings: one documented file (``tonnage.toml``), and every key in the environment too.

Names are loaded on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOME = {
    "find_file": "app.settings.load",
    "load_settings": "app.settings.load",
    "BudgetSettings": "app.settings.model",
    "ParameterCap": "app.settings.model",
    "ProbeSettings": "app.settings.model",
    "RunnerSettings": "app.settings.model",
    "Scaling": "app.settings.model",
    "ServiceSettings": "app.settings.model",
    "Settings": "app.settings.model",
    "TierSpaces": "app.settings.model",
    "WorkloadSettings": "app.settings.model",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'app.settings' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
