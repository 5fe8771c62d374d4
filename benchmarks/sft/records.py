"""What the benchmark learns, one JSON line each, written at once: a killed run resumes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Training:
    """One case: what was fitted, and what training at it did."""

    case: str
    fits: bool
    reason: str
    """What it lacks where it does not fit; why training failed where it failed."""
    state: str
    verdict: str = ""
    """Of a training that failed."""
    micro_batch: int | None = None
    accumulation: int | None = None
    changed: list[str] = field(default_factory=list)
    predicted_peak_bytes: int | None = None
    predicted_step_s: float | None = None
    peak_bytes: int | None = None
    """The most of all parts of the training: before it was stopped, and after."""
    step_s: float | None = None
    """Mean duration of a step in training."""
    steps: int = 0
    resumed_from_step: int | None = None
    probes: int = 0
    fit_s: float = 0.0
    wall_s: float = 0.0


@dataclass(frozen=True)
class Plain:
    """The largest micro-batch of a case when its loss is that of a plain model."""

    case: str
    found: int | None
    reason: str
    peak_bytes: int | None


class WorkFile:
    """Appends records, and knows those of earlier runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trainings: dict[str, Training] = {}
        self.plain: dict[str, Plain] = {}
        if path.is_file():
            for line in path.read_text().splitlines():
                try:
                    self._keep(_read(json.loads(line)))
                except (ValueError, KeyError, TypeError):
                    continue  # cut off by a kill

    def add(self, record: Training | Plain) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kind = "training" if isinstance(record, Training) else "plain"
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, **asdict(record)}) + "\n")
        self._keep(record)

    def _keep(self, record: Training | Plain) -> None:
        if isinstance(record, Training):
            self.trainings[record.case] = record
        else:
            self.plain[record.case] = record


def _read(plain: dict[str, Any]) -> Training | Plain:
    kind = plain.pop("kind")
    return Training(**plain) if kind == "training" else Plain(**plain)
