"""A dated result with the machine and versions it was measured on."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")


def write(name: str, result: dict[str, Any]) -> Path:
    """Write ``results/NAME-DATE.json`` and return its path."""
    today = datetime.now(UTC).date().isoformat()
    document = {"benchmark": name, "date": today, "machine": machine(), "result": result}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}-{today}.json"
    file.write_text(json.dumps(document, indent=2) + "\n")
    return file


def machine() -> dict[str, Any]:
    versions = {}
    for package in ("tonnage", "torch", "torch-geometric", "optuna", "typer", "fastapi", "uvicorn"):
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
