"""``tonnage doctor``: a self-check of every device, and a report to attach to a bug."""

from __future__ import annotations

import platform
import sys
from functools import partial
from typing import Any

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.cli.output import print_json, stdout
from probes.errors import TonnageError


def doctor(
    python: options.Python = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Check the interpreter, every device and the database.

    On each device a small model is trained and then driven out of memory on purpose; the device
    must survive both. Exit status 0 if every check passes, 3 otherwise. Attach the output of
    --json to a bug report.
    """
    from app.cli.progress import ProgressDisplay

    report: dict[str, Any] = {"system": system(), "checks": []}
    with ProgressDisplay() as progress:
        for name, check in checks(python, database):
            progress.doing(name)
            entry = run_check(name, check)
            report["checks"].append(entry)
            progress.line(f"{'ok  ' if entry['ok'] else 'FAIL'} {name}: {entry['detail']}")
    report["ok"] = all(entry["ok"] for entry in report["checks"])
    if json_:
        print_json(report)
    elif report["ok"]:
        stdout().print("All checks passed.")
    else:
        stdout().print(
            "Some checks failed. To report a bug, attach the output of: tonnage doctor --json"
        )
    raise typer.Exit(0 if report["ok"] else 3)


def run_check(name: str, check: Any) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "detail": check()}
    except (TonnageError, AssertionError) as error:
        return {"name": name, "ok": False, "detail": str(error)}


def system() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    packages = {}
    for package in ("tonnage", "torch", "optuna", "sqlalchemy", "psutil", "nvidia-ml-py"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "not installed"
    return {
        "os": platform.platform(),
        "python": sys.version.split()[0],
        "packages": packages,
    }


def checks(python: str | None, database: str | None) -> list[tuple[str, Any]]:
    """Name and function of each check. A function returns a sentence or raises."""
    settings = open_settings()

    from app.machine.target import find_devices
    from probes.devices.base import DeviceFacts
    from probes.energy.sensors import sensor_words
    from probes.self_check import DEVICE_CHECKS

    found: dict[str, Any] = {}

    def interpreter() -> str:
        prober, devices = find_devices(settings, python)
        found.update(prober=prober, devices=devices)
        facts = devices["interpreter"]
        return f"torch {facts['torch']} on Python {facts['python']} at {facts['executable']}"

    def storage() -> str:
        from app.database import migrate

        store = open_database(settings, database)
        return f"{store.shown_url} at version {migrate.current(store)}"

    listed: list[tuple[str, Any]] = [("interpreter", interpreter), ("database", storage)]
    first = run_check("interpreter", interpreter)
    if not first["ok"]:
        return listed
    for raw in found["devices"]["devices"]:
        for name, check in DEVICE_CHECKS.items():
            device = raw["device"]
            listed.append((f"{device} {name}", partial(check, found["prober"], device)))
        facts = DeviceFacts(**raw)
        listed.append((f"{facts.device} energy", partial(sensor_words, facts)))  # never fails
    return listed
