"""A positive quantity with its interval, or the reason why it is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Amount:
    """A quantity in the unit that its owner states. ``low <= mean <= high``; raises ``ValueError``
    otherwise."""

    mean: float
    low: float
    high: float
    is_estimate: bool = False
    """Whether something in it was assumed (the power of a device, say) instead of measured."""

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.mean <= self.high:
            raise ValueError(f"{self.low} <= {self.mean} <= {self.high} does not hold")

    @classmethod
    def exactly(cls, value: float, *, is_estimate: bool = False) -> Amount:
        return cls(value, value, value, is_estimate)

    def times(self, factor: float) -> Amount:
        """Scaled by a factor of zero or more."""
        return Amount(self.mean * factor, self.low * factor, self.high * factor, self.is_estimate)

    def plus(self, other: Amount) -> Amount:
        """The sum. The bounds are added, which is the wider choice: both may err the same way."""
        return Amount(
            self.mean + other.mean,
            self.low + other.low,
            self.high + other.high,
            self.is_estimate or other.is_estimate,
        )

    def to_dict(self) -> dict[str, Any]:
        return {"mean": self.mean, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Unknown:
    """A quantity that is not known."""

    because: str
    """A whole sentence that also says what to do about it."""


Known = Amount | Unknown


def known(value: Known) -> Amount | None:
    """``None`` for what is not known."""
    return value if isinstance(value, Amount) else None
