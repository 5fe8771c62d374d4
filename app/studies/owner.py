"""Who runs a study: a process, told apart from a later one with the same number."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import psutil

START_TOLERANCE_S = 2.0


@dataclass(frozen=True)
class Owner:
    """A process of a host."""

    pid: int
    host: str
    started_s: float
    """Seconds since 1970."""

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether it still runs. Only meaningful on its own host."""
        try:
            process = psutil.Process(self.pid)
            ended = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
            return not ended and abs(process.create_time() - self.started_s) < START_TOLERANCE_S
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def this_process() -> Owner:
    return Owner(os.getpid(), socket.gethostname(), psutil.Process().create_time())
