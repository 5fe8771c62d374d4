"""What an ablation measures with. The application gives real probes, tests give scripted ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from optimizer.ablation.question import Arm
from probes.job import StepPlan
from probes.max_batch.bounds import Bounds
from probes.measurement import Measurement
from probes.prior import Prior
from probes.space import Space


@dataclass(frozen=True)
class Place:
    """Where something was measured, as evidence states it."""

    device: str
    """Like ``cuda:0``."""
    kind: str
    """Like ``cuda``."""
    fingerprint: str
    tonnage: str
    """Version."""
    torch: str = ""
    """Version."""


class Bench(Protocol):
    """One workload on one device. Every run is a process of its own."""

    @property
    def place(self) -> Place: ...

    @property
    def space(self) -> Space:
        """Dimensions of the workload."""
        ...

    @property
    def bounds(self) -> Bounds:
        """What limits a batch besides memory."""
        ...

    def probe(self, arm: Arm, batch_size: int, plan: StepPlan) -> Measurement:
        """One probe. Raises ``InputError`` for an option that the workload does not have, and
        ``MeasurementError`` where nothing can be run at all."""
        ...

    def prior(self, arm: Arm, ceiling: int) -> Prior:
        """Memory against the batch, as far as it can be known without running a step."""
        ...

    def call(self, function: str, arm: Arm, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What ``package.module:function`` returns in the interpreter that trains. It is given
        ``arguments``, and the workload, config and device of the arm."""
        ...


@dataclass(frozen=True)
class AblationEvent:
    """One step of a running ablation, for progress."""

    kind: str
    """``arms``, ``batch``, ``search``, ``pair``, ``training`` or ``answered``."""
    text: str
    """For a person."""
    done: int = 0
    of: int = 0
    """At most this many pairs."""


Report = Callable[[AblationEvent], None]
