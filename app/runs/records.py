"""What a training run is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Outcome = Literal["finished", "out_of_memory", "failed", "interrupted"]


@dataclass(frozen=True)
class RunRecord:
    """A stored training run."""

    id: str
    outcome: str
    """One of ``Outcome``."""
    exit_status: int
    """As a shell gives it: 128 and the signal's number for one that a signal ended."""
    workload: str
    budget: str
    device: str
    fingerprint: str
    recommendation_id: str | None
    """The recommendation it was started with; ``None`` if it is not (or no longer) stored here."""
    batch_size: int
    accumulation: int
    step_time_s: float | None
    """Median, where the output tells it."""
    wall_s: float
    document: dict[str, Any]
    """The rest: config, what was expected, the reason it ended."""
    created_at: datetime


@dataclass(frozen=True)
class Grades:
    """The outcomes of the runs with a recommendation."""

    runs: int = 0
    finished: int = 0
    out_of_memory: int = 0
    step_time_s: float | None = None
    """Median over the runs whose output tells it."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "runs": self.runs,
            "finished": self.finished,
            "out_of_memory": self.out_of_memory,
            "step_time_s": self.step_time_s,
        }
