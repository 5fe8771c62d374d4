"""What a fleet answer is asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from optimizer.fleet.choose import Prefer
from probes.errors import InputError


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
        for name in (*given, "deadline_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                what = "The deadline" if name == "deadline_s" else name
                raise InputError(f"{what} must be greater than zero.")
        if self.budget_money is not None and self.budget_money < 0:
            raise InputError("The sum of money must not be negative.")

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "prefer": str(self.prefer)}
