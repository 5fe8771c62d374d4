"""The folder of prepared data: whether it can be used again, and how it comes into place.

It is written under a name of its own and renamed when it is complete, so that a kill at any point
leaves nothing that looks prepared.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import psutil

from finetuning.data import differences
from finetuning.data.fingerprint import Inputs
from finetuning.data.summary import CARD, DataSummary, read_summary
from finetuning.settings.model import FineTuningSettings
from probes.errors import InputError

FOLDER = "data"
PARTIAL = ".data-partial-"
CLOCK_S = 10.0
"""A process's start is known to about a second only."""


def is_current(folder: Path, key: str) -> bool:
    """Whether the folder holds, complete and unchanged, what would be made."""
    try:
        summary = complete(folder)
    except InputError:
        return False
    return summary is not None and summary.fingerprint == key


def prepared(folder: Path, inputs: Inputs, settings: FineTuningSettings) -> DataSummary | None:
    """What the folder holds, if it is what would be made. None: it is not there, or empty.

    Raises ``InputError`` where it holds something else.
    """
    summary = complete(folder)
    if summary is not None and summary.fingerprint != inputs.key:
        changed = differences.of_sources(summary, inputs.sources)
        changed += differences.of_settings(summary, settings)
        what = ", ".join(changed or [differences.SOME_SOURCE])
        raise InputError(
            f"{folder} was prepared from something else: {what}. Choose another "
            f"--output, or train on the rows as they are: tonnage finetune resume {folder.parent}"
        )
    return summary


def kept(folder: Path, settings: FineTuningSettings) -> DataSummary | None:
    """What the folder holds, whatever its sources are now. None: it is not there, or empty.

    Raises ``InputError`` where it was prepared with other settings.
    """
    summary = complete(folder)
    if summary is not None and (changed := differences.of_settings(summary, settings)):
        raise InputError(
            f"{folder} was prepared with other settings: {', '.join(changed)}. Set them back in "
            f"{folder.parent / 'finetuning.yaml'}, or start a run with another --output."
        )
    return summary


def complete(folder: Path) -> DataSummary | None:
    """What the folder holds, as it was prepared. None: it is not there, or empty.

    Raises ``InputError`` where that was changed, or was never prepared.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    advice = f"Remove {folder} to have it prepared again, or choose another --output."
    try:
        summary = read_summary(folder)
    except InputError as error:
        raise InputError(f"{error} {advice}") from error
    for name, file in summary.splits.items():
        path = summary.path(name)
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            raise InputError(f"{path} has been changed since it was prepared. {advice}")
    return summary


def refuse_other_contents(folder: Path) -> None:
    """Raise ``InputError`` where the folder was never prepared data: it is not ours to remove."""
    if folder.exists() and not (folder / CARD).exists():
        if folder.is_dir() and not any(folder.iterdir()):
            return
        raise InputError(
            f"{folder} contains files that are not prepared data; they are not overwritten. Move "
            "them, or choose another output folder."
        )


def own_folder(parent: Path) -> Path:
    """A new folder of this process, to be renamed when it is complete."""
    folder = parent / f"{PARTIAL}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return folder


def remove_leftovers(parent: Path) -> None:
    """Remove what killed calls left behind; a call that still runs keeps its folder."""
    for path in parent.glob(f"{PARTIAL}*"):
        pid = path.name.removeprefix(PARTIAL).partition("-")[0]
        if not (pid.isdecimal() and _is_running(int(pid), path)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int, made: Path) -> bool:
    """Whether the process that made this folder still runs; process numbers are given again."""
    try:
        return psutil.Process(pid).create_time() <= made.stat().st_mtime + CLOCK_S
    except (psutil.Error, OSError):
        return False


def move_into_place(partial: Path, folder: Path, key: str, overwrite: bool) -> None:
    """Rename, setting aside what may be overwritten. Another call may have made the same since."""
    old = None
    if overwrite and folder.exists() and not is_current(folder, key):
        old = own_folder(folder.parent)
        folder.rename(old / FOLDER)
    try:
        partial.rename(folder)
    except OSError:
        if not is_current(folder, key):
            raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
