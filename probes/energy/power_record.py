"""The note on disk that says which power limit a device had before ours, so that it can be given
back by whoever comes next: the one who set it, its guardian, or the next start of Tonnage.

It lies beside the lock files of the leases, which only one process per device holds. A guardian
keeps it locked for as long as it lives. Standard library and NVML only.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.util
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing

PYNVML = "pynvml"
GUARDIAN_S = 10.0
"""A guardian whose parent is gone has given the limit back after this time."""
POLL_S = 0.02
ATTEMPTS = 20
"""Of giving back a limit, where the driver answers with an error."""
RETRY_S = 0.1


class NotRestoredError(Exception):
    """A power limit could not be given back; the message says what it is and should be."""


@dataclass(frozen=True)
class PowerRecord:
    """The limit that a device had, and who changes it."""

    uuid: str
    """Hash of the device's UUID, as in its fingerprint."""
    limit_mw: int
    token: str
    """Of the process that wrote it: a late guardian must not take another's record for its own."""

    @classmethod
    def of(cls, uuid: str, limit_mw: int) -> PowerRecord:
        return cls(uuid, limit_mw, secrets.token_hex(8))


def record_file(uuid: str, folder: Path) -> Path:
    return folder / f"tonnage-power-{re.sub(r'[^A-Za-z0-9.-]+', '-', uuid)}.json"


def write(record: PowerRecord, file: Path) -> None:
    """Durable before it returns: whoever reads it sees all of it."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(fd, "w") as out:
        json.dump(asdict(record), out)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


@contextlib.contextmanager
def locked(file: Path, wait_s: float) -> Iterator[PowerRecord | None]:
    """The record, locked; ``None`` where there is none, where another user than us or root wrote
    it, or where it is not a record. Raises ``NotRestoredError`` where another process keeps it
    locked for longer than ``wait_s``."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        _lock(fd, file, wait_s)
        yield _read(fd) if _is_ours(fd) and _is_there(fd, file) else None
    finally:
        os.close(fd)


def restore(record: PowerRecord, nvml: Any) -> None:
    """Give the device its limit back, and look whether it has it. Raises ``NotRestoredError``."""
    problem = ""
    for _ in range(ATTEMPTS):
        device = NvmlDevice.find(record.uuid, nvml)
        if isinstance(device, Missing):
            problem = device.reason
        elif device.power_limit_mw == record.limit_mw:
            return
        else:
            refused = device.set_power_limit_mw(record.limit_mw)
            if refused is None and device.power_limit_mw == record.limit_mw:
                return
            problem = refused.reason if refused is not None else "the driver kept another one"
        time.sleep(RETRY_S)
    raise NotRestoredError(
        f"A power limit could not be set back to {record.limit_mw / 1000:g} W: {problem}. Set it "
        f"by hand: sudo nvidia-smi --power-limit={record.limit_mw / 1000:g}"
    )


def restore_left_over(uuid: str, folder: Path, nvml: Any = None) -> str:
    """Give back the limit that a killed process left behind on this device, where there is such a
    record; says so in words, else empty. Call it while holding the device's lease.

    Raises ``NotRestoredError`` where that fails.
    """
    file = record_file(uuid, folder)
    if not file.exists():
        return ""
    with locked(file, GUARDIAN_S) as record:
        if record is None:
            return ""
        restore(record, nvml)
        file.unlink(missing_ok=True)
    return (
        f"the power limit was set back to {record.limit_mw / 1000:g} W, after a sweep that was "
        "killed"
    )


def load_nvml(source: str) -> Any:
    """The binding by its module name, or from a file that stands in for it."""
    if not source.endswith(".py"):
        return importlib.import_module(source)
    spec = importlib.util.spec_from_file_location("nvml_stand_in", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lock(fd: int, file: Path, wait_s: float) -> None:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise NotRestoredError(
                    f"Another process still guards a power limit ({file}): try again when it has "
                    "ended."
                ) from None
            time.sleep(POLL_S)


def _is_ours(fd: int) -> bool:
    """All users may write to the folder: a record must not tell root what to do."""
    found = os.fstat(fd)
    return stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid())


def _is_there(fd: int, file: Path) -> bool:
    """Whether the file is still the one that was opened."""
    try:
        return os.path.samestat(os.stat(file, follow_symlinks=False), os.fstat(fd))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _read(fd: int) -> PowerRecord | None:
    try:
        data = json.loads(os.pread(fd, 4096, 0))
        return PowerRecord(str(data["uuid"]), int(data["limit_mw"]), str(data["token"]))
    except (ValueError, TypeError, KeyError):
        return None
