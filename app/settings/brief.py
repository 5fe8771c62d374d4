"""The few settings that a check needs, without building the settings model (a third of a second).

What ``load_settings`` gave is kept (``app.machine.disk_cache``)
under the ``TONNAGE_…`` variables and the working
directory; its witnesses are the places where a ``tonnage.toml`` is looked for, the files that
define the settings, and the folder of installed packages, which may register workloads.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.machine.disk_cache import keep, kept
from app.settings.environment_names import PREFIX

KIND = "settings"
PLACES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


@dataclass(frozen=True)
class Brief:
    """Plain data."""

    database_url: str
    headroom: float
    windows: dict[str, tuple[float | None, int]]
    """By budget: the longest cycle in seconds (``None``: no limit), and its batches."""
    workloads: dict[str, dict[str, Any]]
    """Registered ones by name: ``reference``, ``python``, ``options``."""
    timeouts: tuple[float, float, float]
    """A worker's: start, step, probe. Seconds."""


def brief_settings() -> Brief:
    """Raises ``InputError`` as ``load_settings`` does."""
    key = _key()
    found = kept(KIND, key)
    if found is not None:
        windows = {
            name: (longest, batches) for name, (longest, batches) in found["windows"].items()
        }
        timeouts = (found["timeouts"][0], found["timeouts"][1], found["timeouts"][2])
        return Brief(**{**found, "windows": windows, "timeouts": timeouts})
    brief, witnesses = _read()
    if brief.database_url.startswith("sqlite"):  # any other may hold a password
        keep(KIND, key, asdict(brief), witnesses)
    return brief


def _key() -> dict[str, Any]:
    named = {n: v for n, v in os.environ.items() if n.upper().startswith(PREFIX) or n in PLACES}
    return {"folder": str(Path.cwd()), "variables": named, "own": sys.prefix}


def _read() -> tuple[Brief, list[Path]]:
    from platformdirs import user_config_dir

    from app.settings import load_settings
    from app.settings.load import FILE_NAME
    from app.settings.model import APPLICATION
    from app.workloads.registry import registered

    settings = load_settings()
    probe = settings.probe
    brief = Brief(
        database_url=settings.database_url,
        headroom=settings.headroom,
        windows={
            name: (budget.longest_cycle_s, budget.cycle_batches)
            for name, budget in settings.budget_table().items()
        },
        workloads={
            name: {
                "reference": each.reference,
                "python": each.python,
                "options": dict(each.options),
            }
            for name, each in registered(settings).items()
        },
        timeouts=(probe.startup_timeout_s, probe.step_timeout_s, probe.probe_timeout_s),
    )
    here = Path(__file__).parent
    witnesses = [
        Path.cwd() / FILE_NAME,
        Path(user_config_dir(APPLICATION)) / FILE_NAME,
        *([settings.file] if settings.file else []),
        *(here / name for name in ("model.py", "defaults.py", "load.py", "brief.py")),
        Path(sysconfig.get_paths()["purelib"]),
    ]
    return brief, witnesses
