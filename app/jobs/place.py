"""Where a process number means something: one boot of one host, one container on it."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

from optimizer.records import short_hash


@cache
def this_place() -> str:
    """Equal for two processes that can see each other by number.

    Containers on one host may share its name and not its processes, and after a reboot the numbers
    begin anew; where the system does not tell these apart (macOS), the name has to do.
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
