"""What makes a command the same one as before: the command itself, and the sources it names.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probes.black_box import template
from probes.black_box.command import Command, command_of, module_file
from probes.black_box.launchers import LaunchTarget, commands_in, target_of
from probes.job import WorkloadRef
from probes.space import dimension_to_dict

SOURCES = {".py", ".sh", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini"}
MOST_SOURCES = 2000
STEPS_FOUND = r"""tonnage step|\bstep\b["']?\s*[:=#\[]?\s*(?P<step>\d+)"""
"""Stands for the steps of a command without a pattern of its own. Nothing is read by it: discovery
finds the steps in the output. It does not change, because stored hashes contain it."""
_DEEPEST = 4
"""Shell scripts that start each other are followed this far."""
SKIPPED_FOLDERS = {"node_modules", "site-packages", "__pycache__", "venv"}


def describe(workload: WorkloadRef) -> dict[str, Any]:
    """As ``probes.workloads.loading.describe``: what a study is planned with."""
    command = command_of(workload)
    return {
        "workload": workload.spec,
        "source_hash": source_hash(command),
        "dataset_size": command.dataset_size,
        "space": {name: dimension_to_dict(d) for name, d in command.space.items()},
        "evaluates": False,
        "notes": [],
    }


def source_hash(command: Command) -> str:
    """Sixteen hex digits over the command and the sources it names.

    Those are the files in its words that are programs or configurations, every ``.py`` file below
    the folder of a script or of a module that a launcher starts, and the same for the commands in
    a shell script. Data and what the command writes itself are not looked at.
    """
    digest = hashlib.sha256()
    facts = [
        command.template,
        command.step or STEPS_FOUND,
        command.log,
        sorted(command.env.items()),
        command.shell,
        {name: dimension_to_dict(d) for name, d in command.space.items()},
    ]
    if command.config:
        facts.append(command.config)
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for path in sorted(_sources(command)):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(command: Command) -> set[Path]:
    words = command.template.split() if command.shell else template.split(command.template)
    found: set[Path] = {command.config_path.resolve()} if command.config else set()
    for word in words:
        found |= _of_word(command.folder, word)
    started = commands_in(command.template) if command.shell else [words]
    for each in started:
        found |= _of_target(command.folder, target_of(each))
    for script in [path for path in found if path.suffix == ".sh"]:
        _follow_shell(command.folder, script, found, _DEEPEST)
    return found


def _of_word(folder: Path, word: str) -> set[Path]:
    """The file that a word or the value of an option names, with the code beside a script."""
    path = folder / word.rpartition("=")[2]
    if path.suffix not in SOURCES or not path.is_file():
        return set()
    beside = _beside(path.resolve().parent) if path.suffix == ".py" else set()
    return {path.resolve()} | beside


def _of_target(folder: Path, target: LaunchTarget) -> set[Path]:
    """What a launcher starts: the code below ``folder`` for a module, as Python would find it."""
    if not target.module:
        return _of_word(folder, target.script)
    path = module_file(target.module, folder)
    return (
        set()
        if path is None
        else {path.resolve()} | (_beside(folder.resolve()) or _beside(path.resolve().parent))
    )


def _follow_shell(folder: Path, script: Path, found: set[Path], deep: int) -> None:
    """Add what a shell script starts, and the files that its commands name."""
    for words in commands_in(script.read_text(errors="replace")):
        new = _of_target(folder, target_of(words)).union(*(_of_word(folder, w) for w in words))
        new -= found
        found |= new
        if deep:
            for path in new:
                if path.suffix == ".sh":
                    _follow_shell(folder, path, found, deep - 1)


def _beside(folder: Path) -> set[Path]:
    """Every ``.py`` file below a folder; none where there are too many for a project."""
    beside = set(_python_files(folder))
    return beside if len(beside) <= MOST_SOURCES else set()


def _python_files(folder: Path) -> Iterator[Path]:
    seen = 0
    for here, folders, files in os.walk(folder):
        folders[:] = [
            f
            for f in folders
            if f not in SKIPPED_FOLDERS
            and not f.startswith(".")
            and not Path(here, f, "pyvenv.cfg").exists()
        ]
        for name in files:
            if name.endswith(".py"):
                yield Path(here, name)
        seen += len(files)
        if seen > 50 * MOST_SOURCES:  # a home folder, not a project
            return
