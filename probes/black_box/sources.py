"""What makes a command the same one as before: the command itself, and the sources that it starts
and names.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from probes.black_box.command import Command, command_of
from probes.black_box.source_search import sources_of
from probes.job import WorkloadRef
from probes.space import dimension_to_dict

STEPS_FOUND = r"""tonnage step|\bstep\b["']?\s*[:=#\[]?\s*(?P<step>\d+)"""
"""Stands for the steps of a command without a pattern of its own. Nothing is read by it: discovery
finds the steps in the output. It does not change, because stored hashes contain it."""


def describe(workload: WorkloadRef) -> dict[str, Any]:
    """As ``probes.workloads.loading.describe``: what a study is planned with. The notes say which
    sources were not found, so that no edit of them makes a result stale."""
    command = command_of(workload)
    source_hash, notes = _hash(command)
    return {
        "workload": workload.spec,
        "source_hash": source_hash,
        "dataset_size": command.dataset_size,
        "space": {name: dimension_to_dict(d) for name, d in command.space.items()},
        "evaluates": False,
        "notes": notes,
    }


def source_hash(command: Command) -> str:
    """Sixteen hex digits over the command and its sources (see ``source_search``)."""
    return _hash(command)[0]


def _hash(command: Command) -> tuple[str, list[str]]:
    """And what is to be said of the sources."""
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
    found = sources_of(command)
    for path in sorted(found.files):
        if path.is_file():  # and no link to what is gone
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16], found.remarks
