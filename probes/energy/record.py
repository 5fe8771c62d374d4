"""What a rising energy counter says about a stretch of time between its readings. Pure.

A counter is read now and then, and each reading may be up to a period old. So the energy of a
window is known within bounds: they follow from the readings around its ends, and hold for whatever
the power did in between.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MeasuredWindow:
    """The measured steps on the monotonic clock."""

    from_s: float
    to_s: float
    steps: int
    """Optimizer steps."""
    edge_s: float = 0.0
    """How exactly both ends are known."""

    @property
    def duration_s(self) -> float:
        return self.to_s - self.from_s


@dataclass(frozen=True)
class Joules:
    """An energy with its bounds."""

    value_j: float
    low_j: float
    high_j: float

    @property
    def half_width(self) -> float:
        """Of the interval, relative to the value; infinite for no energy."""
        return (self.high_j - self.low_j) / 2 / self.value_j if self.value_j > 0 else float("inf")

    def __add__(self, other: Joules) -> Joules:
        return Joules(
            self.value_j + other.value_j, self.low_j + other.low_j, self.high_j + other.high_j
        )


@dataclass
class CounterRecord:
    """Readings of one counter, in the order of time."""

    period_s: float
    """How old a reading may be."""
    at_s: list[float] = field(default_factory=list)
    total_j: list[float] = field(default_factory=list)

    def add(self, at_s: float, total_j: float) -> None:
        self.at_s.append(at_s)
        self.total_j.append(total_j)

    def energy(self, window: MeasuredWindow) -> Joules | None:
        """Energy of the window; ``None`` where it is not enclosed by readings."""
        begin_s, end_s, edge_s = window.from_s, window.to_s, window.edge_s
        if not self.at_s or self.at_s[0] > begin_s - edge_s or self.at_s[-1] < end_s:
            return None
        half_s = self.period_s / 2
        value_j = self._total(end_s + half_s) - self._total(begin_s + half_s)
        # Not yet at the end, and certainly after the beginning; then the other way round.
        low_j = self._until(end_s - edge_s) - self._from(begin_s + edge_s + self.period_s)
        high_j = self._from(end_s + edge_s + self.period_s) - self._until(begin_s - edge_s)
        return Joules(value_j, max(0.0, min(low_j, value_j)), max(high_j, value_j))

    def _total(self, at_s: float) -> float:
        """Interpolated; after the last reading, the mean power of all goes on."""
        if at_s > self.at_s[-1]:
            spent_s = self.at_s[-1] - self.at_s[0]
            mean_w = (self.total_j[-1] - self.total_j[0]) / spent_s if spent_s > 0 else 0.0
            return self.total_j[-1] + mean_w * (at_s - self.at_s[-1])
        right = max(1, bisect.bisect_left(self.at_s, at_s))
        if right == len(self.at_s):
            return self.total_j[-1]
        left = right - 1
        stretch_s = self.at_s[right] - self.at_s[left]
        share = (at_s - self.at_s[left]) / stretch_s if stretch_s > 0 else 1.0
        return self.total_j[left] + share * (self.total_j[right] - self.total_j[left])

    def _until(self, at_s: float) -> float:
        """The last reading up to then."""
        return self.total_j[max(0, bisect.bisect_right(self.at_s, at_s) - 1)]

    def _from(self, at_s: float) -> float:
        """The first reading from then on. Where there is none, what it would be at most: the
        highest power so far goes on."""
        right = bisect.bisect_left(self.at_s, at_s)
        if right < len(self.at_s):
            return self.total_j[right]
        return self.total_j[-1] + self._highest_power_w() * (at_s - self.at_s[-1])

    def _highest_power_w(self) -> float:
        """Over stretches of a period at least: a counter moves by steps."""
        highest_w = 0.0
        for right, now_s in enumerate(self.at_s):
            left = bisect.bisect_right(self.at_s, now_s - max(self.period_s, 1e-3)) - 1
            if left >= 0:
                joules = self.total_j[right] - self.total_j[left]
                highest_w = max(highest_w, joules / (now_s - self.at_s[left]))
        return highest_w
