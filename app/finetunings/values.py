"""From what a run reports to what is stored: events, evaluation rows, errors of predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from app.database.models.finetuning import FineTuningEventRow
from probes.formatting import is_non_finite

LOGGED = (
    "epoch",
    "loss",
    "eval_loss",
    "learning_rate",
    "tokens_per_s",
    "step_s",
    "left_s",
    "peak_bytes",
)
"""Values of an event that have a column."""
ELSEWHERE = ("step", "of", "phase")
"""Keys of an event that are kept in other places, or say nothing about the step."""


def error_of(predicted: float | None, measured: float | None) -> float | None:
    """The error relative to what was measured; positive when the prediction was too high."""
    if not predicted or not measured:
        return None
    return (predicted - measured) / measured


def set_logged(row: FineTuningEventRow, event: Mapping[str, Any]) -> None:
    """Add the values of an event to its row. A value that is not a finite number goes into the
    document, as everything does that has no column."""
    rest = {}
    for name, value in event.items():
        if value is None or name in ELSEWHERE:
            continue
        if name in LOGGED and not is_non_finite(value):
            setattr(row, name, int(value) if name == "peak_bytes" else float(value))
        else:
            rest[name] = value
    row.document = {**row.document, **plain(rest)}


def evaluation_row(finetuning_id: str, task: str, given: Any, *, baseline: bool) -> dict[str, Any]:
    """The columns of an ``EvaluationRow`` of ``finetuning``, or of a mapping with its fields."""
    known = asdict(given) if is_dataclass(given) and not isinstance(given, type) else dict(given)
    return {
        "finetuning_id": finetuning_id,
        "is_baseline": baseline,
        "task": task,
        "item": str(known["item"]),
        "item_group": str(known["group"]),
        "source": str(known["source"]),
        "values": dict(known["values"]),
        "details": plain(known.get("details") or {}),
    }


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that can be stored as JSON: tuples become lists, paths and other objects text."""
    copy: dict[str, Any] = json.loads(json.dumps(dict(value), default=str))
    return copy


def at(nested: Mapping[str, Any], *names: str) -> Any:
    """A value of nested mappings; ``None`` where it is not there."""
    found: Any = nested
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
