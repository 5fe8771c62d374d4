"""Checkpoints that a command leaves in its own folder: its next run may resume from them."""

from __future__ import annotations

import os
from pathlib import Path

SUFFIXES = {".pt", ".pth", ".ckpt", ".safetensors", ".tar", ".pkl"}
WORDS = ("checkpoint", "ckpt", "snapshot")
MOST_ENTRIES = 5000
SHOWN = 3


class Leftovers:
    """Looks at a folder when it is made and when ``note`` is asked for; not at what is below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = _checkpoints(folder)

    def note(self) -> str:
        """That checkpoints were written since; empty where none were."""
        now = _checkpoints(self._folder)
        written = sorted(name for name, time_ns in now.items() if self._before.get(name) != time_ns)
        if not written:
            return ""
        names = ", ".join(written[:SHOWN]) + (", …" if len(written) > SHOWN else "")
        return (
            f"the command wrote {names} into its folder ({self._folder}); if it resumes from "
            "there, later runs differ from the first. Let it write to {run_dir}, if it has an "
            "option for that"
        )


def _checkpoints(folder: Path) -> dict[str, int]:
    """Name and time of change of what looks like a checkpoint; nothing for a folder that cannot be
    read."""
    found: dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_ENTRIES:
                    break
                name = entry.name.lower()
                if Path(name).suffix in SUFFIXES or any(word in name for word in WORDS):
                    found[entry.name] = entry.stat().st_mtime_ns
    except OSError:
        return {}
    return found
