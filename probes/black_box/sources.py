"""What makes a command the same one as before: the command itself, and the sources it names.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from probes.black_box import template
from probes.black_box.command import Command, command_of
from probes.black_box.launchers import commands_in
from probes.black_box.source_files import SourceFiles
from probes.job import WorkloadRef
from probes.space import dimension_to_dict

STEPS_FOUND = r"""tonnage step|\bstep\b["']?\s*[:=#\[]?\s*(?P<step>\d+)"""
"""Stands for the steps of a command without a pattern of its own. Nothing is read by it: discovery
finds the steps in the output. It does not change, because stored hashes contain it."""


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
    the folder of a script or of a module that a launcher starts, the same for the commands in a
    shell script, and the configuration files that a script is seen to read. Where what is started
    cannot be found, it is all code below the folder. Data and what the command writes itself are
    not looked at.
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
    files = SourceFiles(command.folder)
    if command.config:
        files.found.add(command.config_path.resolve())
    files.add(words, commands_in(command.template) if command.shell else [words])
    return files.found
