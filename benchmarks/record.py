"""A dated result with the machine and versions it was measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")


def write(name: str, result: dict[str, Any], packages: Sequence[str] = ()) -> Path:
    """Write ``results/NAME-DATE.json`` and return its path. ``packages``: whose versions matter
    beside the usual ones."""
    today = datetime.now(UTC).date().isoformat()
    document = {"benchmark": name, "date": today, "machine": machine(packages), "result": result}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}-{today}.json"
    file.write_text(json.dumps(document, indent=2) + "\n")
    return file


USUAL = ("tonnage", "torch", "torch-geometric", "optuna", "typer", "fastapi", "uvicorn")


def machine(packages: Sequence[str] = ()) -> dict[str, Any]:
    versions = {}
    for package in (*USUAL, *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "os": f"{platform.system()} {platform.machine()}, {'-'.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "packages": versions,
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
