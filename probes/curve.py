"""A quantity against the batch size, from few points: memory and step time as the search sees them.

Memory and time are only piecewise smooth (padding, other algorithms at other sizes). So the curve
is piecewise: it goes from point to point, nowhere falling, and beyond the largest point it goes on
with the secant through the largest points that lie well apart, because the points nearest to the
edge count. With an analytic prior the abscissa is what the prior predicts instead of the batch
itself: a quadratic prior makes a straight line of quadratic memory, and what the prior does not
know (workspaces, fragmentation) appears as offset and scale. Standard library only, Python 3.10
syntax.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from probes.prior import Prior

WELL_APART = 0.8
"""A slope is taken between batches at least so far apart, as a ratio, where there are any: between
close neighbours it is mostly noise."""
BANDS = {(1, False): 0.30, (1, True): 0.10, (2, False): 0.25, (2, True): 0.08, (3, False): 0.18}
BEST_BAND = 0.02
"""Half-width of the band by (points, with prior), relative: the 95th percentile of the errors at
the edge over the workloads of ``benchmarks/prediction``, about."""
BISECTIONS = 80


@dataclass(frozen=True)
class Estimate:
    """A prediction with its band, in the unit of what it predicts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """Nowhere falling, nowhere below ``base``, and through every measured point within its band.

    Up to the last knot it is linear between knots; beyond, it is ``last + slope * (x - x2) +
    bend * (x - x2) * (x - x1)``, where ``x`` is the batch, or the prior at the batch.
    """

    knots: tuple[tuple[int, float], ...]
    """(batch, value), ascending and nowhere falling."""
    base: float
    """What is there at batch 0 at the least."""
    slope: float
    bend: float
    bend_from: float
    """``x1`` above: the second of the points that the bend was taken from."""
    points: int
    """How many measured points the slope and the bend rest on."""
    prior: Prior | None = None
    miss: float = 0.0
    """How far the most distant measured point is from the curve, relative to the curve: more than
    0 where a larger batch took less."""

    @property
    def band(self) -> float:
        """Half-width of the error band, relative to the value."""
        return max(BANDS.get((self.points, self.prior is not None), BEST_BAND), self.miss)

    def value(self, batch_size: float) -> float:
        knots, x = self.knots, self._x(batch_size)
        (first, lowest), last = knots[0], knots[-1][0]
        if batch_size >= last:
            return self.trend(batch_size)
        if batch_size <= first:
            slope = self.slope if len(knots) == 1 else self._slope(knots[0], knots[1])
            return max(self.base, lowest - slope * (self._x(first) - x))
        above = bisect_left(knots, batch_size, key=lambda knot: knot[0])
        (b1, y1), (b2, y2) = knots[above - 1], knots[above]
        x1, x2 = self._x(b1), self._x(b2)
        share = (x - x1) / (x2 - x1) if x2 > x1 else (batch_size - b1) / (b2 - b1)
        return y1 + (y2 - y1) * share

    def trend(self, batch_size: float) -> float:
        """What goes on beyond the last knot, at any batch: the secant, or the bent curve."""
        last, highest = self.knots[-1]
        x = self._x(batch_size)
        return highest + (x - self._x(last)) * (self.slope + self.bend * (x - self.bend_from))

    def at(self, batch_size: int) -> Estimate:
        value = self.value(batch_size)
        return Estimate(value, max(0.0, value * (1 - self.band)), value * (1 + self.band))

    def reaches(self, limit: float, ceiling: int) -> float:
        """The batch, between 0 and ``ceiling``, at which the curve reaches ``limit``; infinite
        when it does not get there."""
        return reaches(self.value, limit, ceiling)

    def _x(self, batch_size: float) -> float:
        return self.prior.at(batch_size) if self.prior is not None else batch_size

    def _slope(self, one: tuple[int, float], other: tuple[int, float]) -> float:
        run = self._x(other[0]) - self._x(one[0])
        return (other[1] - one[1]) / run if run > 0 else self.slope


def reaches(value: Callable[[float], float], limit: float, ceiling: int) -> float:
    """The batch, between 0 and ``ceiling``, at which a rising function reaches ``limit``; infinite
    when it does not get there."""
    if value(ceiling) <= limit:
        return math.inf
    low, high = 0.0, float(ceiling)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if value(middle) <= limit else (low, middle)
    return low


def fit(points: Mapping[int, float], base: float = 0.0, prior: Prior | None = None) -> Curve | None:
    """The curve through all points; ``None`` without points.

    ``points`` maps batch sizes to values. ``base`` is the least that is there at batch 0: memory
    between steps, for a peak. Beyond the largest point the curve rests on the largest points that
    lie well apart. With three of them an upward bend is followed (pairwise losses and attention
    grow with the square of the batch); a downward one is not, so that the error is on the safe
    side.
    """
    known = sorted(points.items())
    if not known:
        return None
    knots = _rising(known)
    miss = max(abs(value - y) / y if y else 0.0 for (_, value), (_, y) in zip(known, knots))
    base = max(0.0, min(base, knots[0][1]))
    chosen = _well_apart(knots)
    if prior:
        xs = [prior.at(batch) for batch, _ in chosen]
        # Where the prior sees no growth between points that differ, it explains nothing.
        if not all(later < earlier for earlier, later in zip(xs, xs[1:])):
            prior = None
    else:
        prior = None
    x: Callable[[int], float] = float if prior is None else prior.at
    slope, bend, bend_from = _growth([(x(batch), value) for batch, value in chosen])
    if len(chosen) == 1:
        slope = 1.0 if prior is not None else (chosen[0][1] - base) / chosen[0][0]
    return Curve(tuple(knots), base, slope, bend, bend_from, len(chosen), prior, miss)


def _growth(chosen: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Slope, bend and where the bend starts, of up to three points, the largest first."""
    if len(chosen) == 1:
        return 0.0, 0.0, 0.0
    (x2, v2), (x1, v1) = chosen[0], chosen[1]
    slope, bend = (v2 - v1) / (x2 - x1), 0.0
    if len(chosen) > 2:
        x0, v0 = chosen[2]
        bend = max(0.0, (slope - (v1 - v0) / (x1 - x0)) / (x2 - x0))
    return slope, bend, x1


def _rising(known: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The points, made nowhere falling with the least squared change: neighbours that fall are
    replaced by their mean (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for _, value in known:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, n), (other, m) = pools.pop(), pools.pop()
            pools.append(((mean * n + other * m) / (n + m), n + m))
    values = [mean for mean, n in pools for _ in range(n)]
    return [(batch, value) for (batch, _), value in zip(known, values)]


def _well_apart(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Up to three points, largest batch first. Two neighbours must do where there is no better."""
    known = list(points)
    chosen = [known.pop()]
    while known and len(chosen) < 3:
        candidate = known.pop()
        last_chance = len(chosen) == 1 and not known
        if candidate[0] <= WELL_APART * chosen[-1][0] or last_chance:
            chosen.append(candidate)
    return chosen
