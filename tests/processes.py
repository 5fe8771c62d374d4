"""What the tests ask of processes that they have started, or that these have."""

from __future__ import annotations

import psutil


def is_gone(pid: int) -> bool:
    """True once it has ended, also where nobody has asked for its status yet: an orphan is a zombie
    until the process that adopted it looks."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
