"""What a fleet answer is asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from optimizer.fleet.choose import Prefer
from probes.errors import InputError

SHOWN = 24
"""Of a number that is out of range, at most this many characters are repeated."""


@dataclass(frozen=True)
class Limit:
    """Which numbers make sense in one place of a question."""

    name: str
    words: str
    most: float
    may_be_zero: bool = False

    def check(self, value: float | None) -> None:
        """Raises ``InputError`` for another number, infinity and NaN included."""
        if value is None:
            return
        is_enough = value >= 0 if self.may_be_zero else value > 0
        if not (is_enough and value <= self.most):  # false for NaN
            least = "zero or more" if self.may_be_zero else "more than zero"
            raise InputError(
                f"{self.words}: {str(value)[:SHOWN]} is out of range. Give a number that is "
                f"{least} and at most {self.most:,.0f}."
            )


MOST_EPOCHS = MOST_CYCLES = MOST_DEADLINE_S = 1e9
MOST_SAMPLES = 2**53 - 1
MOST_MONEY = 1e12
MOST_TIME_SCALE = 1e6
LIMITS = (
    Limit("epochs", "epochs", MOST_EPOCHS),
    Limit("samples", "samples", MOST_SAMPLES),
    Limit("cycles", "cycles", MOST_CYCLES),
    Limit("deadline_s", "The deadline in seconds", MOST_DEADLINE_S),
    Limit("budget_money", "The most that it may cost", MOST_MONEY, may_be_zero=True),
    Limit("time_scale", "time-scale", MOST_TIME_SCALE),
)


@dataclass(frozen=True)
class FleetQuestion:
    """A training, and what it may take. Of ``epochs``, ``samples`` and ``cycles`` at most one is
    given; without any of them it is one cycle."""

    workload: str
    """Its label in the store."""
    budget: str = "prototyping"
    """The budget whose recommendations say how large a model is wanted."""
    epochs: float | None = None
    samples: int | None = None
    cycles: float | None = None
    deadline_s: float | None = None
    """Seconds from now."""
    budget_money: float | None = None
    """In the configured currency."""
    prefer: Prefer = Prefer.CHEAPEST
    pinned: dict[str, Any] = field(default_factory=dict)
    """Dimensions that the config must have."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the workload."""
    time_scale: float = 1.0
    with_carbon: bool = False

    def __post_init__(self) -> None:
        given = [n for n in ("epochs", "samples", "cycles") if getattr(self, n) is not None]
        if len(given) > 1:
            raise InputError("Give only one of epochs, samples and cycles.")
        for limit in LIMITS:
            limit.check(getattr(self, limit.name))

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "prefer": str(self.prefer)}
