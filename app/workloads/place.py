"""The folder whose script a command is judged by. It was measured in one, and may be about to be
trained in another: a second clone, or a pipeline's check-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probes.black_box import template
from probes.black_box.command import Command, command_of, module_file
from probes.black_box.launchers import commands_in, target_of
from probes.black_box.sources import source_hash
from probes.errors import InputError
from probes.job import WorkloadRef


def placed(workload: WorkloadRef, folders: Sequence[Path], measured: str | None) -> WorkloadRef:
    """The command in one of these folders that has its script; in the folder where it was measured
    where none has. ``measured`` is the hash of its source then: of several, one that differs from
    it counts first, so that no edited script passes for another one's sake.
    """
    found: dict[bool, WorkloadRef] = {}
    for folder in folders:
        moved = replace(workload, options={**workload.options, "cwd": str(folder.resolve())})
        own = _hash(moved)
        if own is not None:
            found.setdefault(own != measured, moved)
    return found.get(True) or found.get(False) or workload


def _hash(workload: WorkloadRef) -> str | None:
    """``None`` where the folder does not have what the command starts, or lacks something else that
    it needs."""
    try:
        command = command_of(workload)
        return source_hash(command) if _has_script(command) else None
    except (InputError, OSError):
        return None


def _has_script(command: Command) -> bool:
    """Whether what it starts lies below its folder, and not at a path that is the same anywhere."""
    text = command.template
    started = commands_in(text) if command.shell else [template.split(text)]
    return any(
        module_file(target.module, command.folder) is not None
        if target.module
        else not Path(target.script).is_absolute() and (command.folder / target.script).is_file()
        for target in map(target_of, started)
    )
