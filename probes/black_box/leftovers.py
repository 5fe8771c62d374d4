"""What a command leaves in its own folder: its next run may resume from it, or refuse to start."""

from __future__ import annotations

import os
import re
from pathlib import Path

SUFFIXES = {".pt", ".pth", ".ckpt", ".safetensors", ".tar", ".pkl"}
WORDS = ("checkpoint", "ckpt", "snapshot")
MOST_ENTRIES = 5000
SHOWN = 3
IS_THERE = re.compile(
    "already exists|file exists|to not exist|not empty|(?:not|avoid) overwrit|overwrite_output",
    re.IGNORECASE,
)
"""What a program says that refuses to write where something is."""


class Leftovers:
    """Looks at a folder when it is made and when it is asked; not at what is below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = _entries(folder)

    def added(self) -> set[str]:
        """Names of what was not there before."""
        return set(_entries(self._folder)) - set(self._before)

    def note(self) -> str:
        """That checkpoints were written since; empty where none were."""
        now = _entries(self._folder)
        changed = sorted(name for name, time_ns in now.items() if self._before.get(name) != time_ns)
        written = [name for name in changed if _is_checkpoint(name)]
        if not written:
            return ""
        names = ", ".join(written[:SHOWN]) + (", …" if len(written) > SHOWN else "")
        return (
            f"the command wrote {names} into its folder ({self._folder}); if it resumes from "
            "there, later runs differ from the first. Let it write to {run_dir}, if it has an "
            "option for that"
        )


def in_the_way(added: set[str], folder: Path, error: str) -> str:
    """What to do about a run that failed because of what an earlier one added to the folder; empty
    where the ``error`` names nothing of that."""
    named = sorted(name for name in added if _is_path_in(error, name))
    if not named or not IS_THERE.search(error):
        return ""
    names = " and ".join(named)
    return (
        f"An earlier run of the command wrote {names} into its folder ({folder}), and this run "
        f"failed because of it:\n{error}\nRemove {names}, and let the command write to "
        "{run_dir}, if it has an option for that: each run then has a folder of its own."
    )


def _is_path_in(text: str, name: str) -> bool:
    """Whether it stands there as a path or in quotes, and not as a word."""
    return re.search(rf"""[/\\'"(`]{re.escape(name)}(?=$|[\s'")`,.:;/\\])""", text) is not None


def _is_checkpoint(name: str) -> bool:
    name = name.lower()
    return Path(name).suffix in SUFFIXES or any(word in name for word in WORDS)


def _entries(folder: Path) -> dict[str, int]:
    """Name and time of change of what is in a folder; nothing for one that cannot be read."""
    found: dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_ENTRIES:
                    break
                found[entry.name] = entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return {}
    return found
