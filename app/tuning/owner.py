"""Which process runs a study. A later process with the same number is another owner."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from app.clock import utc_now
from app.database.models.results import StudyRow
from app.database.models.searching import ClaimRow
from optimizer.records import short_hash

START_TOLERANCE_S = 0.05
SILENT_AFTER = timedelta(minutes=30)
"""A process on another host counts as dead when it has stored nothing for this long: by default no
single probe may take longer."""


@dataclass(frozen=True)
class Owner:
    """A process of a host."""

    pid: int
    host: str
    started_s: float
    """When it started, by a clock that cannot be set: on Linux seconds since the host was booted,
    elsewhere as the system says."""

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether it still runs. Only meaningful on its own host."""
        try:
            process = psutil.Process(self.pid)
            ended = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
            return not ended and abs(_started_s(process) - self.started_s) < START_TOLERANCE_S
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return False
        except psutil.AccessDenied:
            return True

    def is_active(self, stored_at: datetime) -> bool:
        """Whether it still works on what it owns, as far as can be seen from here: it runs, or, on
        another host, it last stored something (``stored_at``) less than ``SILENT_AFTER`` ago."""
        return self.is_alive() if self.is_here else utc_now() - stored_at < SILENT_AFTER

    def columns(self) -> dict[str, Any]:
        """As the rows of studies and claims have it."""
        return {f"owner_{name}": value for name, value in asdict(self).items()}


def owner_of(row: StudyRow | ClaimRow) -> Owner | None:
    """The owner that a row names; ``None`` for a study that no process runs."""
    if row.owner_pid is None or row.owner_host is None:
        return None
    return Owner(row.owner_pid, row.owner_host, row.owner_started_s or 0.0)


def this_process() -> Owner:
    return owner_with(os.getpid())


def owner_with(pid: int) -> Owner:
    """A process of this host. Raises ``psutil.NoSuchProcess``."""
    return Owner(pid, socket.gethostname(), _started_s(psutil.Process(pid)))


def _started_s(process: psutil.Process) -> float:
    """psutil counts from 1970, by a clock that may be set in the meantime: a process would then not
    be recognised, and its study would be taken away from it."""
    if not sys.platform.startswith("linux"):
        return process.create_time()
    # pid (command, which may contain anything) state … the 22nd field, in clock ticks since boot
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


@cache
def this_place() -> str:
    """A name for the process numbers of this boot of this host, or of this container on it. It is
    equal for two processes that can see each other by number.

    Containers may share the name of their host but not its processes, and after a reboot numbers
    are used again. Where the system does not tell these apart (macOS), it is the host's name.
    """
    return short_hash([socket.gethostname(), _boot(), _process_namespace()])


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _process_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
