"""The effect in paired differences, with an interval that stays true however often one looks.

An ablation adds pairs until the answer is clear. A usual 95 % interval that is looked at after
every pair misses the truth far more often than in 5 % of cases; so this one is *anytime-valid*: the
chance that it *ever* misses is at most 5 %. It is the set of effects that the mixture t-test does
not reject: with a normal prior of variance ``PRIOR`` (in units of the noise's variance) on the
effect, the Bayes factor against a wrong effect exceeds 1/0.05 with a chance of at most 0.05,
whenever one stops (Lindon, Ham, Tingley & Bojinov, *Anytime-valid linear models and regression
adjusted causal inference*, arXiv 2210.08589; Wang & Ramdas, arXiv 2310.03722).

Differences are of logarithms, so an effect is a ratio. Each pair states which side ran first: a
steady drift of the machine makes the second one slower (or faster) whichever it is, and is
estimated beside the effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95
PRIOR = 16.0
FEWEST_PAIRS = 4
"""Fewer leave no degree of freedom to know the noise by."""


@dataclass(frozen=True)
class Interval:
    """An effect and its bounds, in logarithms of ratios."""

    effect: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def paired_interval(
    differences: Sequence[float],
    orders: Sequence[int] | None = None,
    *,
    least: float = 0.0,
    level: float = LEVEL,
) -> Interval:
    """The mean of paired differences with its anytime-valid interval.

    ``orders`` has +1 for a pair whose first side ran first and -1 for the reverse; ``None`` where
    no order matters. ``least`` is the resolution of the measurement: the interval is at least this
    far on either side. It is unbounded where there are too few pairs. Raises ``ValueError``
    without any.
    """
    count = len(differences)
    if not count:
        raise ValueError("an interval needs at least one difference")
    mean = sum(differences) / count
    centred = _centred(orders, count)
    spread = sum(c * c for c in centred)
    slope = sum(c * d for c, d in zip(centred, differences)) / spread if spread else 0.0
    offset = (sum(orders) / count) if orders and spread else 0.0
    effect = mean - slope * offset
    free = count - (2 if spread else 1)
    if free < 1:
        return Interval(effect, -math.inf, math.inf)
    residual = sum((d - mean - slope * c) ** 2 for c, d in zip(centred, differences))
    observations = 1 / (1 / count + (offset * offset / spread if spread else 0.0))
    half = max(
        least, math.sqrt(residual / free / observations) * _quantile(observations, free, level)
    )
    return Interval(effect, effect - half, effect + half)


def _centred(orders: Sequence[int] | None, count: int) -> list[float]:
    if orders is None:
        return [0.0] * count
    mean = sum(orders) / count
    return [order - mean for order in orders]


def _quantile(observations: float, free: int, level: float) -> float:
    """How many standard errors the interval reaches: where the Bayes factor is 1/(1 - level)."""
    mixed = 1 + PRIOR * observations
    ratio = (math.sqrt(mixed) / (1 - level)) ** (2 / (free + 1))
    if ratio >= mixed:
        return math.inf
    return math.sqrt(free * (ratio - 1) / (1 - ratio / mixed))
