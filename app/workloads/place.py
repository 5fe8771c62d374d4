"""The folder whose script a command is judged by. It was measured in one, and may be about to be
trained in another: a second clone, or a pipeline's check-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from probes.black_box import template
from probes.black_box.command import command_of
from probes.black_box.launchers import LaunchTarget, target_of
from probes.black_box.programs import module_file
from probes.black_box.shell_text import ShellCommand, ShellText
from probes.black_box.sources import source_hash
from probes.errors import InputError
from probes.job import WorkloadRef


@dataclass(frozen=True)
class Place:
    """A command in the folder that it is judged by."""

    workload: WorkloadRef
    has_script: bool
    """Whether its script was found there. What else the command needs may be missing."""
    note: str = ""
    """A sentence where it is another folder than those that were looked in: it names both."""


def placed(workload: WorkloadRef, folders: Sequence[Path], measured: str | None) -> Place:
    """The command in one of these folders that has its script; in the folder where it was measured
    where none has. ``measured`` is the hash of its source then: of several, one that differs from
    it, or that cannot be compared, counts first, so that no edited script passes for another one's
    sake. Never raises.
    """
    found: dict[bool, WorkloadRef] = {}
    for folder in folders:
        moved = replace(workload, options={**workload.options, "cwd": str(folder.resolve())})
        if _has_script(moved.options):
            found.setdefault(_hash(moved) != measured, moved)
    here = found.get(True) or found.get(False)
    if here is not None:
        return Place(here, has_script=True)
    return Place(workload, has_script=False, note=_note(workload, folders))


def _hash(workload: WorkloadRef) -> str | None:
    """``None`` where the folder lacks something that the command needs besides its script."""
    try:
        return source_hash(command_of(workload))
    except (InputError, OSError, ValueError):
        return None


def _has_script(options: Mapping[str, Any]) -> bool:
    """Whether what it starts lies below its folder, and not at a path that is the same anywhere.
    Nothing else about the command is examined: what it lacks must not hide an edited script."""
    try:
        return any(
            not _is_elsewhere(options, *each) and _is_in(*each) for each in _targets(options)
        )
    except (InputError, OSError, ValueError):
        return False


def _is_in(folder: Path, target: LaunchTarget) -> bool:
    if target.module:
        return module_file(target.module, folder) is not None
    path = folder / target.script
    return path.is_file() or (path / "__main__.py").is_file()


def _is_elsewhere(options: Mapping[str, Any], folder: Path, target: LaunchTarget) -> bool:
    """Whether it is at the same path whichever folder the command runs in."""
    return Path(target.script).is_absolute() or not folder.is_relative_to(options["cwd"])


def _targets(options: Mapping[str, Any]) -> list[tuple[Path, LaunchTarget]]:
    """The scripts and modules that it starts, each with its folder, as far as can be told."""
    text, folder = str(options.get("command", "")).strip(), Path(options["cwd"])
    if options.get("shell"):
        started = list(ShellText(folder).commands(text))
    else:
        words = template.split(text)
        inner = target_of(words)
        shell = ShellText(folder, arguments=inner.arguments[1:])
        started = list(shell.commands(inner.text)) or [ShellCommand(folder, words)]
    targets = ((each.folder, target_of(each.words)) for each in started if each.is_sure)
    return [each for each in targets if each[1].script or each[1].module]


def _note(workload: WorkloadRef, folders: Sequence[Path]) -> str:
    """Which folder speaks for those that have no script; empty where it is one of them, or where
    every script has a path that is the same anywhere."""
    measured_in = str(workload.options.get("cwd") or "")
    looked_in = list(dict.fromkeys(str(folder.resolve()) for folder in folders))
    if not measured_in or measured_in in looked_in or _is_same_anywhere(workload.options):
        return ""
    return (
        f"No script that {workload.spec} starts was found in {' or '.join(looked_in)}: the files "
        f"that it names in {measured_in} were compared."
    )


def _is_same_anywhere(options: Mapping[str, Any]) -> bool:
    try:
        targets = _targets(options)
    except InputError:
        return False
    return bool(targets) and all(_is_elsewhere(options, *each) for each in targets)
