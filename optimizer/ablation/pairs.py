"""Paired, interleaved runs, and the effect that they show."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from optimizer.ablation.evidence import ClaimVerdict
from optimizer.ablation.interval import FEWEST_PAIRS, Interval, paired_interval
from optimizer.ablation.judge import Change, judge
from optimizer.ablation.question import Quantity, Question
from optimizer.ablation.readings import least_half_width

BEFORE_FIRST, AFTER_FIRST = 1, -1
TELLING = 0.04
"""A figure is told with an interval of at most 4 % on either side, if time allows."""
SMALLEST = 1e-9
"""What a value of zero counts as, where ratios are taken."""


def orders(seed: int) -> Iterator[int]:
    """Endless orders of pairs, in blocks of two that are each other's reverse: A B B A or B A A B,
    drawn at random. Within a block, a steady drift of the machine cancels."""
    draw = random.Random(seed)
    while True:
        first = draw.choice((BEFORE_FIRST, AFTER_FIRST))
        yield first
        yield -first


@dataclass
class Pairs:
    """The values of one quantity on both sides, pair by pair."""

    question: Question
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)

    def add(self, before: float, after: float, order: int) -> None:
        """One pair; ``order`` is ``BEFORE_FIRST``, ``AFTER_FIRST``, or 0 where none matters."""
        self.before.append(max(before, SMALLEST))
        self.after.append(max(after, SMALLEST))
        self.orders.append(order)

    def __len__(self) -> int:
        return len(self.before)

    @property
    def before_mean(self) -> float:
        """Geometric, as the effect is."""
        return _mean(self.before)

    @property
    def after_mean(self) -> float:
        return _mean(self.after)

    @property
    def change(self) -> Change:
        """The relative change with its interval; for output errors, the error itself."""
        interval = self._interval()
        less = 0.0 if self._is_error else 1.0
        value, low, high = (
            math.exp(min(bound, 700.0)) - less
            for bound in (interval.effect, interval.low, interval.high)
        )
        return Change(value, low, math.inf if interval.high == math.inf else high)

    @property
    def verdict(self) -> ClaimVerdict:
        return judge(self.question, self.change)

    @property
    def is_clear(self) -> bool:
        """Whether more pairs are not worth their time: the verdict stands and the figure is good
        enough to be told, or the interval is as narrow as the resolution allows."""
        if len(self) < FEWEST_PAIRS:
            return False
        half_width = self._interval().half_width
        if half_width <= self._least * (1 + 1e-9):
            return True
        return self.verdict is not ClaimVerdict.UNDECIDED and half_width <= TELLING

    @property
    def _is_error(self) -> bool:
        return self.question.quantity is Quantity.OUTPUT_ERROR

    @property
    def _least(self) -> float:
        return least_half_width(self.question.quantity, self.before_mean, self.after_mean)

    def _interval(self) -> Interval:
        if self._is_error:
            differences = [math.log(after) for after in self.after]
        else:
            differences = [math.log(a / b) for b, a in zip(self.before, self.after)]
        matters = any(self.orders)
        return paired_interval(differences, self.orders if matters else None, least=self._least)


def _mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
