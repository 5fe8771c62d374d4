"""Which checkpoint a run continues from. Standard library only."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

_NAME = re.compile(r"checkpoint-(\d+)$")
_LAST_FILE = "trainer_state.json"
"""The trainer writes it after everything else of a checkpoint."""


def latest_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """The newest complete checkpoint and its step; incomplete ones, left by a kill, are removed."""
    if not folder.is_dir():
        return None
    found = []
    for entry in folder.iterdir():
        match = _NAME.search(entry.name)
        if match is None:
            continue
        if _is_complete(entry):
            found.append((int(match[1]), entry))
        else:
            shutil.rmtree(entry, ignore_errors=True)
    if not found:
        return None
    step, entry = max(found)
    return entry, step


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _LAST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
