"""A quantity against the batch size, from few points: memory and step time as the search sees them.

A secant, not a regression: memory and time are only piecewise smooth (padding, other algorithms
at other sizes), and the edge lies beyond the largest point, so the points nearest to it count. With
an analytic prior the abscissa is what the prior predicts instead of the batch itself: a quadratic
prior makes a straight line of quadratic memory, and what the prior does not know (workspaces,
fragmentation) appears as offset and scale. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
    """``base + slope * x + bend * x**2``, where ``x`` is the batch, or the prior at the batch."""

    base: float
    slope: float
    bend: float
    points: int
    """How many measured points it rests on."""
    prior: Prior | None = None

    @property
    def band(self) -> float:
        """Half-width of the error band, relative to the value."""
        return BANDS.get((self.points, self.prior is not None), BEST_BAND)

    def value(self, batch_size: float) -> float:
        x = self.prior.at(batch_size) if self.prior is not None else batch_size
        return self.base + self.slope * x + self.bend * x * x

    def at(self, batch_size: int) -> Estimate:
        value = self.value(batch_size)
        return Estimate(value, value * (1 - self.band), value * (1 + self.band))

    def reaches(self, limit: float, ceiling: int) -> float:
        """The batch, between 0 and ``ceiling``, at which the curve reaches ``limit``; infinite
        when it does not get there."""
        if self.value(ceiling) <= limit:
            return math.inf
        low, high = 0.0, float(ceiling)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.value(middle) <= limit else (low, middle)
        return low


def fit(points: Mapping[int, float], base: float = 0.0, prior: Prior | None = None) -> Curve | None:
    """The curve through the largest points that lie well apart; ``None`` without points.

    ``points`` maps batch sizes to values. ``base`` is what is there at batch 0 when a single point
    and no prior must do: memory between steps, for a peak. With three points an upward bend is
    followed (pairwise losses and attention grow with the square of the batch); a downward one is
    not, so that the error is on the safe side.
    """
    chosen = _well_apart(points)
    if not chosen:
        return None
    x: Callable[[int], float] = float
    if prior:
        xs = [prior.at(batch) for batch, _ in chosen]
        # Where the prior sees no growth between points that differ, it explains nothing.
        if all(later < earlier for earlier, later in zip(xs, xs[1:])):
            x = prior.at
        else:
            prior = None
    else:
        prior = None
    b2, v2 = chosen[0]
    if len(chosen) == 1:
        if prior is not None:
            return Curve(v2 - x(b2), 1.0, 0.0, 1, prior)
        base = min(base, v2)
        return Curve(base, (v2 - base) / b2, 0.0, 1)
    b1, v1 = chosen[1]
    slope = max(0.0, (v2 - v1) / (x(b2) - x(b1)))
    bend = 0.0
    if len(chosen) > 2:
        b0, v0 = chosen[2]
        bend = max(0.0, (slope - (v1 - v0) / (x(b1) - x(b0))) / (x(b2) - x(b0)))
        slope -= bend * (x(b1) + x(b2))
    rest = v2 - slope * x(b2) - bend * x(b2) ** 2
    return Curve(rest, slope, bend, len(chosen), prior)


def _well_apart(points: Mapping[int, float]) -> list[tuple[int, float]]:
    """Up to three points, largest batch first. Two neighbours must do where there is no better."""
    known = sorted(points.items())
    if not known:
        return []
    chosen = [known.pop()]
    while known and len(chosen) < 3:
        candidate = known.pop()
        last_chance = len(chosen) == 1 and not known
        if candidate[0] <= WELL_APART * chosen[-1][0] or last_chance:
            chosen.append(candidate)
    return chosen
