"""An NVIDIA driver in a file: its state outlives the processes that change it, as a device's does.

``FILE_NVML`` names the file. Loaded by path, in our process, in the guardian's and in those that
are killed. Every change is appended to ``<file>.log``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

UUID = "GPU-6fa3d1b2-0000-1111-2222-333344445555"
USUAL_MW, LEAST_MW, MOST_MW = 450_000, 100_000, 600_000


class NVMLError(Exception):
    pass


class NVMLError_NoPermission(NVMLError):
    pass


class NVMLError_InvalidArgument(NVMLError):
    pass


def state_file() -> Path:
    return Path(os.environ["FILE_NVML"])


def read() -> dict[str, Any]:
    return json.loads(state_file().read_text())


def write(**state: Any) -> None:
    draft = state_file().with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(state))
    draft.replace(state_file())


def limit_w() -> float:
    return read()["limit_mw"] / 1000


def changes() -> list[int]:
    """Milliwatts, in the order in which they were set."""
    log = state_file().with_suffix(".log")
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def nvmlInit() -> None:
    pass


def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetMaxMigDeviceCount(handle: int) -> int:
    return 0


def nvmlDeviceGetUUID(handle: int) -> str:
    return UUID


def nvmlDeviceGetPowerManagementLimit(handle: int) -> int:
    return int(read()["limit_mw"])


def nvmlDeviceGetPowerManagementLimitConstraints(handle: int) -> list[int]:
    return [LEAST_MW, MOST_MW]


def nvmlDeviceSetPowerManagementLimit(handle: int, limit_mw: int) -> None:
    state = read()
    if state.get("refuses"):
        raise NVMLError_NoPermission("Insufficient Permissions")
    if not LEAST_MW <= limit_mw <= MOST_MW:
        raise NVMLError_InvalidArgument("Invalid Argument")
    with state_file().with_suffix(".log").open("a") as log:
        log.write(f"{limit_mw}\n")
    write(**{**state, "limit_mw": limit_mw})
