"""Which checkpoint a run continues from. Standard library only."""

from __future__ import annotations

import json
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"checkpoint-(\d+)$")
_LAST_FILE = "trainer_state.json"
"""The trainer writes it after everything else of a checkpoint."""
_ZIPPED = (".pt", ".pth", ".bin")
"""What ``torch.save`` writes."""


def latest_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """The newest complete checkpoint and its step; incomplete ones, left by a kill, are removed."""
    found = []
    for step, entry in list(_checkpoints(folder)):
        if _is_complete(entry):
            found.append((step, entry))
        else:
            shutil.rmtree(entry, ignore_errors=True)
    if not found:
        return None
    step, entry = max(found)
    return entry, step


def set_aside_damaged(folder: Path) -> list[tuple[Path, Path]]:
    """Rename complete checkpoints of which a file was cut off, as a full disk or a loss of power
    leaves them, so that a run continues from an earlier one.

    Returns the damaged file of each, and the folder that it is in now. Only the ends of files are
    looked at.
    """
    found = []
    for step, entry in sorted(_checkpoints(folder)):
        damaged = next((file for file in sorted(entry.iterdir()) if _is_cut_off(file)), None)
        if damaged is not None and _is_complete(entry):
            aside = folder / f"damaged-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            found.append((damaged, entry.rename(aside)))
    return found


def _checkpoints(folder: Path) -> Iterator[tuple[int, Path]]:
    if folder.is_dir():
        for entry in folder.iterdir():
            if (match := _NAME.match(entry.name)) is not None and entry.is_dir():
                yield int(match[1]), entry


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _LAST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _is_cut_off(file: Path) -> bool:
    if file.suffix in _ZIPPED:
        return not zipfile.is_zipfile(file)  # the index of its members is at the end
    return file.suffix == ".safetensors" and not _has_all_tensors(file)


def _has_all_tensors(file: Path) -> bool:
    """Whether the file is as long as its header says: 8 bytes with the header's length, the header
    in JSON, and the tensors."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > file.stat().st_size:
                return False
            header = json.loads(opened.read(length))
        ends = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
    except (OSError, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return False
    return bool(file.stat().st_size == 8 + length + max(ends, default=0))
