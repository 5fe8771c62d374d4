"""The budgets: what "best" means in each phase of development.

There is no single best configuration, only one per phase. A budget says how long a cycle (a fixed
number of batches) may take and how many configs are worth measuring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from probes.errors import InputError
from probes.space import unknown_name

MINUTE_S = 60.0
CYCLE_BATCHES = 450
"""Batches per cycle, unless configured."""


class Objective(StrEnum):
    """What "best" means inside the window."""

    THROUGHPUT = "throughput"
    """The highest throughput, or a more capable model that loses little of it."""
    CAPACITY = "capacity"
    """The most capable model, with its maximum batch."""
    PARETO = "pareto"
    """As ``THROUGHPUT``, but the whole front of throughput and capacity is measured."""


@dataclass(frozen=True)
class Budget:
    """What a study aims at. Times are seconds per cycle."""

    name: str
    target_s: float | None
    """Cycle time aimed at; ``None`` for no time limit."""
    flexibility_s: float
    """Seconds by which a cycle may exceed the target."""
    trials: int
    """Configurations to measure at most."""
    cycle_batches: int = CYCLE_BATCHES
    throughput_loss: float = 0.15
    """Fraction of the best throughput that a more capable model may cost."""
    objective: Objective = Objective.THROUGHPUT
    most_capable: bool = True
    """Whether a study with a window also finds the most capable model that fits the window."""

    def __post_init__(self) -> None:
        if self.target_s is not None and self.target_s <= 0:
            raise InputError(f"Budget {self.name}: target_s={self.target_s} must be positive.")
        if self.flexibility_s < 0:
            raise InputError(f"Budget {self.name}: flexibility_s={self.flexibility_s} < 0.")
        if self.trials < 1:
            raise InputError(f"Budget {self.name}: trials={self.trials} must be 1 or more.")
        if self.cycle_batches < 1:
            raise InputError(f"Budget {self.name}: cycle_batches={self.cycle_batches} < 1.")
        if not 0 <= self.throughput_loss < 1:
            raise InputError(
                f"Budget {self.name}: throughput_loss={self.throughput_loss} must be from 0 to 1."
            )

    @property
    def longest_cycle_s(self) -> float | None:
        """Upper end of the window; ``None`` for no limit."""
        return None if self.target_s is None else self.target_s + self.flexibility_s

    @property
    def longest_step_s(self) -> float | None:
        """Mean step time at which a cycle just fits the window."""
        longest = self.longest_cycle_s
        return None if longest is None else longest / self.cycle_batches

    @property
    def seeks_most_capable(self) -> bool:
        """Whether the most capable model is looked for in addition to the recommendation. If
        capacity is the objective, it is the recommendation; without a window, no time limits it."""
        within = self.target_s is not None and self.objective is not Objective.CAPACITY
        return self.most_capable and within

    @property
    def accepted_loss(self) -> float | None:
        """``throughput_loss``; ``None`` where it does not count because capacity alone decides."""
        return None if self.objective is Objective.CAPACITY else self.throughput_loss

    def scaled(self, factor: float) -> Budget:
        """The same budget with its times multiplied, for demonstrations and tests."""
        if factor <= 0:
            raise InputError(f"Time scale {factor} must be positive.")
        target_s = None if self.target_s is None else self.target_s * factor
        return replace(self, target_s=target_s, flexibility_s=self.flexibility_s * factor)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "target_s": self.target_s,
            "flexibility_s": self.flexibility_s,
            "trials": self.trials,
            "cycle_batches": self.cycle_batches,
            "throughput_loss": self.throughput_loss,
            "objective": str(self.objective),
            # Left out where it is on, so that studies of earlier releases are found and resumed.
            **({} if self.most_capable else {"most_capable": False}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Budget:
        return cls(**{**data, "objective": Objective(data.get("objective", "throughput"))})


DEFAULT_BUDGETS = {
    "smoke_test": Budget("smoke_test", None, 0.0, trials=4, throughput_loss=0.0),
    "prototyping": Budget("prototyping", 20 * MINUTE_S, 20 * MINUTE_S, trials=20),
    "validation": Budget("validation", 90 * MINUTE_S, 20 * MINUTE_S, trials=20),
    "production": Budget("production", None, 0.0, trials=40, objective=Objective.CAPACITY),
}
"""Defaults; the configuration file may change every number."""


def budget_named(name: str, budgets: dict[str, Budget] | None = None) -> Budget:
    """Look a budget up. Raises ``InputError`` naming the nearest known one."""
    known = budgets if budgets is not None else DEFAULT_BUDGETS
    if name not in known:
        raise InputError(unknown_name("budget", name, known))
    return known[name]
