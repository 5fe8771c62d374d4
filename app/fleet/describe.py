"""What this host offers to the fleet, as JSON on standard output: ``python -P -m
app.fleet.describe PID``, for the process of ours with this number.

A process of its own: the engine's one, which asks, need not import what finds devices, and its
environment is not that of a job.
"""

from __future__ import annotations

import contextlib
import json
import math
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.fleet.nodes import Description
from app.jobs.detect import Detector
from app.machine.disk_cache import kept
from app.machine.local_facts import DEVICES, devices_key
from app.settings import Settings, load_settings
from app.tuning.owner import owner_with, this_place
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.errors import TonnageError


def describe(settings: Settings, pid: int) -> Description:
    """This host; ``pid``: the process that jobs end with."""
    offers, problem = None, ""
    try:
        offers = Detector(settings).offers()
    except TonnageError as error:
        problem = str(error)
    return Description(owner_with(pid), this_place(), versions(), offers, problem)


def versions() -> dict[str, Any]:
    """Of what decides whether a node can be used, and whether its results can be compared. Of torch
    and the driver: as the usual interpreter told when it was last asked."""
    found: dict[str, Any] = {"tonnage": version("tonnage"), "python": platform.python_version()}
    with contextlib.suppress(PackageNotFoundError):
        found["ray"] = version("ray")
    told = kept(DEVICES, devices_key(None), longest_s=math.inf) or {}
    if torch := told.get("interpreter", {}).get("torch"):
        found["torch"] = torch
    for raw in told.get("devices", []):
        facts = DeviceFacts(**raw)
        driver = build_fingerprint(facts, Telemetry(facts)).identity.get("driver")
        if isinstance(driver, str):
            found["driver"] = driver
    return found


def main(pid: str) -> None:
    try:
        found = describe(load_settings(), int(pid))
    except TonnageError as error:  # tonnage.toml is wrong
        found = Description(owner_with(int(pid)), this_place(), versions(), None, str(error))
    json.dump(found.to_dict(), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
