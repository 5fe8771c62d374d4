"""How one number grows from line to line, and how many steps that makes."""

from __future__ import annotations

import math
from collections import Counter as Tally
from dataclasses import dataclass

RECENT = 6
FALLS_NEEDED = 4
"""Falls from which on they tell whether a number begins again or falls to anywhere."""


@dataclass(frozen=True)
class EpochSteps:
    """Steps of an epoch, bounds included: lines that come every few steps tell no more."""

    least: int
    most: int


class _Landings:
    """The numbers to which a number has fallen.

    With each epoch a counter falls to the first number of an epoch, which is below the second one
    of any. The lines of two ranks fall too, and to ever larger numbers. An amount falls anywhere.
    """

    def __init__(self) -> None:
        self.are_anywhere = False
        self._falls = 0
        self._highest = 0
        self._first_peak = 0
        """From where it fell first."""
        self._least_second: int | None = None
        """The smallest number after the first one of an epoch."""
        self._is_second = True

    def rise(self, value: int) -> None:
        if self._is_second:
            least = self._least_second
            self._least_second = value if least is None else min(least, value)
        self._is_second = False

    def fall(self, last: int, value: int) -> None:
        self._falls += 1
        self._first_peak = self._first_peak or last
        second = self._least_second
        has_come_back = value < min(self._highest, self._first_peak)
        is_amid = second is not None and self._highest > second
        self.are_anywhere |= self._falls >= FALLS_NEEDED and has_come_back and is_amid
        self._highest = max(self._highest, value)
        self._is_second = True


class CounterGrowth:
    """Follows one number. It may start again with each epoch, and several ranks may print it."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.lines = 0
        self.first = 0
        self.last = 0
        self.ups = 0
        self.stays = 0
        self.restarts = 0
        self.falls = 0
        """Restarts and breaks, and what was taken for another rank's line."""
        self.breaks = 0
        """Falls that are no restart."""
        self.largest = 0
        self.smallest = 0
        self.progress = 0
        """How far it has come since the first line, restarts included."""
        self._divisor = 0
        """What all values and moves are multiples of, the last ones of epochs aside."""
        self._deltas: Tally[int] = Tally()
        self._longest = 0
        """The largest number from which it has started again."""
        self._landings = _Landings()

    def add(self, value: int) -> int:
        """How far the number has moved with this line; 0 for a repetition."""
        self.lines += 1
        if value != self.total:
            self._divisor = math.gcd(self._divisor, value)
        if self.lines == 1:
            self.first = self.last = value
            return 0
        delta = value - self.last
        if delta == 0:
            self.stays += 1
            return 0
        self.falls += delta < 0
        if delta > 0:
            self.ups += 1
            if delta in self._deltas or len(self._deltas) < 16:
                self._deltas[delta] += 1
            self.largest = max(self.largest, delta)
            self._landings.rise(value)
            self.smallest = min(self.smallest or delta, delta)
        elif self.stays and -delta <= self.stride and not self._is_complete:
            return 0  # another rank's line about the step before
        elif self._is_restart(value):
            self.restarts += 1
            self._landings.fall(self.last, value)
            self._longest = max(self._longest, self.last)
            delta = (self.total - self.last + value) if self.total else self.stride
        else:
            self.breaks += 1
            self.last = value
            return 0
        self.last = value
        self.progress += delta
        return delta

    @property
    def stride(self) -> int:
        """By how much it usually grows from one line to the next."""
        return max(self._deltas, key=lambda d: (self._deltas[d], d)) if self._deltas else 1

    def are_multiples_of(self, number: int) -> bool:
        """Whether it has moved in multiples of this number, which is greater than 1, as one that
        counts the samples of batches does."""
        return number > 1 and self.ups > 0 and self._divisor > 0 and self._divisor % number == 0

    @property
    def epoch(self) -> EpochSteps | None:
        """How far it counts before it starts again, as far as that was seen."""
        if not self.restarts:
            return None
        starts_at_0 = self.first == 0 or self.first == self.stride - 1 > 0
        least = self._longest + starts_at_0
        return EpochSteps(least, least + self.stride - 1)

    @property
    def _is_complete(self) -> bool:
        """Whether its next line begins again."""
        most = self.total or 0
        stride = self.stride if self.ups else 1
        return bool(most) and self.last + stride >= most

    def _is_restart(self, value: int) -> bool:
        if self.total and self.last >= 0.9 * self.total and value <= 0.5 * self.total:
            return True
        return value <= self.first + 2 * self.largest and value < self.last

    @property
    def is_even(self) -> bool:
        """Whether most of the moves are of the same size."""
        return bool(self._deltas) and self._deltas[self.stride] >= 0.6 * self.ups

    @property
    def is_roughly_even(self) -> bool:
        """Whether no move is more than twice as large as another."""
        return self.is_even or self.largest <= 2 * self.smallest

    @property
    def is_monotone(self) -> bool:
        """Whether it grows as a counter does, which may have epochs of two lines."""
        is_rare = self.breaks <= 0.05 * self.lines and self.restarts <= 0.5 * self.lines
        return is_rare and not self.falls_anywhere

    @property
    def falls_anywhere(self) -> bool:
        """Whether it rises and falls as the steps of each episode do. A counter whose epochs have
        uneven lines, 100, 200 and 250, falls to where each epoch begins."""
        return self._landings.are_anywhere and not self.is_even and self.total is None

    @property
    def rises_steadily(self) -> bool:
        """Whether it has moved by one and the same amount only, from where such a counter begins
        or more than once."""
        is_one = self.largest == self.smallest > 0 and not self.falls
        return is_one and (self.ups > 1 or self.largest == self.first)
