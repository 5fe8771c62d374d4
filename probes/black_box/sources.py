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
from probes.black_box.command import Command, command_of
from probes.job import WorkloadRef
from probes.space import dimension_to_dict

SOURCES = {".py", ".sh", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini"}
MOST_SOURCES = 2000
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

    Those are the files in its words that are programs or configurations, and every ``.py`` file
    below the folder of a script. Data and what the command writes itself are not looked at.
    """
    digest = hashlib.sha256()
    facts = [
        command.template,
        command.step_pattern,
        command.log,
        sorted(command.env.items()),
        command.shell,
        {name: dimension_to_dict(d) for name, d in command.space.items()},
    ]
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for path in sorted(_sources(command)):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(command: Command) -> set[Path]:
    found: set[Path] = set()
    words = command.template.split() if command.shell else template.split(command.template)
    for word in words:
        path = command.folder / word.rpartition("=")[2]
        if path.suffix not in SOURCES or not path.is_file():
            continue
        found.add(path.resolve())
        if path.suffix == ".py":
            beside = list(_python_files(path.resolve().parent))
            found.update(beside if len(beside) <= MOST_SOURCES else [])
    return found


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
