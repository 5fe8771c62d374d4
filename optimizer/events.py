"""What a running study reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from optimizer.choose import Candidate
from optimizer.records import Trial
from probes.max_batch import Ask
from probes.measurement import Config, Measurement


@dataclass(frozen=True)
class Event:
    """One step of a study. ``kind`` says which of the optional fields are set."""

    kind: str
    """``trial``, ``probe``, ``measured``, ``reused`` or ``settled``."""
    trial_number: int = 0
    trials_settled: int = 0
    trials_planned: int = 0
    config: Config = field(default_factory=dict)
    ask: Ask | None = None
    measurement: Measurement | None = None
    trial: Trial | None = None
    incumbent: Candidate | None = None
    """The best candidate so far."""


Report = Callable[[Event], None]
