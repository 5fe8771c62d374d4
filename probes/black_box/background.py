"""What a command leaves running when it ends: a training that it started in the background."""

from __future__ import annotations

import contextlib
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from probes.devices.host import file_mappings

GRACE_S = 0.5
"""Helpers end within this time after the process that they help."""


@dataclass(frozen=True)
class Left:
    """A process that outlives the command."""

    command: str
    has_torch: bool
    """It has loaded torch, so that it is no helper such as an uploader of logs."""


def left_running(root: int, proc: Path = Path("/proc")) -> Left | None:
    """The process below ``root`` that is left when the command has ended, one with torch before
    others; ``None`` where there is none. Linux only."""
    deadline_s = time.monotonic() + GRACE_S
    while (found := _living(root, proc)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    left = [Left(shlex.join(words), _has_torch(pid, proc)) for pid, words in found.items()]
    return max(left, key=lambda each: each.has_torch, default=None)


def _living(pid: int, proc: Path) -> dict[int, list[str]]:
    """Command lines by process, of everything below one; without those that have ended."""
    found: dict[int, list[str]] = {}
    with contextlib.suppress(OSError):
        for task in (proc / str(pid) / "task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= _living(child, proc)
                text = (proc / str(child) / "cmdline").read_text(errors="replace")
                if words := text.rstrip("\0").split("\0") if text else []:
                    found[child] = words
    return found


def _has_torch(pid: int, proc: Path) -> bool:
    try:
        return file_mappings((proc / str(pid) / "maps").read_text(errors="replace")).has_torch
    except OSError:
        return False
