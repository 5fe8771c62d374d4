"""Does memory stay where it is? The rules that tell a stable run from one that dies later.

Pure functions over memory at step boundaries. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from probes.measurement import Growth

Point = tuple[float, float]
"""Steps run, and bytes."""

HORIZON_STEPS = 100_000
"""A run that would fill the memory within this many steps is a leak; slower creep is noise."""
TOLERANCE = 0.0025
"""Growth between windows below this fraction of the cap counts as none."""
OWN_GROWTH_BYTES = 1024
"""Per step; torch and the measuring itself leave some 100 to 300 bytes behind each time."""
CONFIDENCE_Z = 1.96
"""An interval of 95 %: a growth that is certain by no more than this may be a leak or chance."""
CLEAR_Z = 4.0
"""The certainty that a leak needs. A run is looked at every few steps, some 30 times in 200 steps.
Where nothing grows, one of these looks reaches 1.96 in 20 % of all runs, 3.3 in 0.6 % and 4.0 in
0.04 % (20,000 simulated runs; ranks depend on the order of independent noise, and not on its size
or shape). The boundary is the same at every look (Pocock, Biometrika 64, 1977): one that is higher
at first would find no leak early, and ``n`` points that all rise have a z of ``1.5 * sqrt(n)``,
7 after 24 steps."""
MOST_SERIAL = 0.9
"""Largest correlation of neighbouring points that an interval is widened for: by 4.4 times."""
STEPS_TO_STOP_AT = 100
"""A run is not ended early for a leak before: a creep that levels off, a buffer that fills up and
garbage that waits to be collected look alike for long."""
SLOWEST_CREEP_STEPS = 150
"""Growth that is over by then is the allocator's, and not a leak."""
LOOKAHEAD = 10
"""A run must rule out trouble in a run this many times as long."""
MOST_POINTS = 200
"""A trend is taken through at most this many points: the pairs of a longer run would need more
memory than the step it watches."""


def held_growth(
    held_bytes: Sequence[int], cap_bytes: int | None, peak_bytes: int, z: float = CONFIDENCE_Z
) -> Growth:
    """Trend of memory at step boundaries, ``held_bytes`` with one value per step. Of a long run,
    points at equal distances are taken."""
    return trend(thinned([*enumerate(held_bytes)]), len(held_bytes), cap_bytes, peak_bytes, z)


def clear_growth(held_bytes: Sequence[int], cap_bytes: int | None, peak_bytes: int) -> Growth:
    """``held_growth`` with the interval that a leak needs: of ``CLEAR_Z``, and wider where each
    value resembles the one before, as it does while memory wanders, fills up in cycles or creeps.
    """
    points = thinned([*enumerate(held_bytes)])
    rate = trend(points, len(held_bytes)).bytes_per_step
    z = CLEAR_Z * serial_widening(points, rate)
    return trend(points, len(held_bytes), cap_bytes, peak_bytes, z)


def trend(
    points: Sequence[Point],
    steps: int,
    cap_bytes: int | None = None,
    peak_bytes: int = 0,
    z: float = CONFIDENCE_Z,
) -> Growth:
    """Slope of memory over steps by Theil-Sen, with Sen's (1968) rank interval.

    Robust on purpose: one late allocation (a workspace, a lazily built buffer) is a step in the
    curve, not a slope, and must not be mistaken for a leak. ``steps`` is the length of the run;
    from its end, and from ``peak_bytes``, the step at which ``cap_bytes`` is reached is counted.
    """
    n = len(points)
    slopes = sorted(
        (later_bytes - bytes_) / (later_step - step)
        for i, (step, bytes_) in enumerate(points)
        for later_step, later_bytes in points[i + 1 :]
    )
    if not slopes:
        return Growth(0.0, 0.0, 0.0, steps, None)
    spread = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = slopes[max(0, int((len(slopes) - spread) / 2))]
    high = slopes[min(len(slopes) - 1, int((len(slopes) + spread) / 2) + 1)]
    rate = statistics.median(slopes)
    dies_at_step = None
    if rate > 0 and cap_bytes is not None:
        dies_at_step = steps + max(0, int((cap_bytes - peak_bytes) / rate))
    return Growth(rate, low, high, steps, dies_at_step)


def serial_widening(points: Sequence[Point], rate: float) -> float:
    """Factor of at least 1 on the interval of a trend, because neighbouring points are not
    independent: ``sqrt((1 + r) / (1 - r))`` (Bayley and Hammersley, Supplement to the Journal of
    the Royal Statistical Society 8, 1946). ``r`` is the correlation of neighbours around a line of
    this ``rate``, corrected for the shortness of the run (Kendall, Biometrika 41, 1954)."""
    n = len(points)
    rest = [bytes_ - rate * step for step, bytes_ in points]
    mean = statistics.fmean(rest)
    squares = sum((b - mean) ** 2 for b in rest)
    if squares < n * OWN_GROWTH_BYTES**2:  # a clean line; what is left of it is rounding
        return 1.0
    neighbours = sum((a - mean) * (b - mean) for a, b in zip(rest, rest[1:], strict=False))
    serial = neighbours / squares
    serial = min(MOST_SERIAL, max(0.0, serial + (1 + 4 * serial) / n))
    return math.sqrt((1 + serial) / (1 - serial))


def halves(points: Sequence[Point], steps: int) -> tuple[Growth, Growth]:
    """The trends of the earlier and of the later half of a run of ``steps`` steps."""
    middle = len(points) // 2
    return trend(points[: middle + 1], steps // 2), trend(points[middle:], steps - steps // 2)


def held_halves(held_bytes: Sequence[int]) -> tuple[Growth, Growth]:
    """``halves`` of memory at step boundaries."""
    return halves(thinned([*enumerate(held_bytes)]), len(held_bytes))


def thinned(points: Sequence[Point]) -> Sequence[Point]:
    """``MOST_POINTS`` of them at the most, at equal distances, the last one included."""
    stride = max(1, math.ceil(len(points) / MOST_POINTS))
    return points[(len(points) - 1) % stride :: stride]


def keeps_pace(earlier: Growth, later: Growth, accuracy: float = 1.0) -> bool:
    """Whether a growth goes on at its pace rather than levelling off.

    A creep that levels off within ``SLOWEST_CREEP_STEPS`` (exponentially: 63 % of it is over by
    then) is slower in the later half of a run by a known factor: 0.9 after 30 steps, 0.5 after 200.
    A leak is not. ``accuracy`` is the largest factor that the figures can tell from 1.
    """
    steps = earlier.steps + later.steps
    slowed = min(accuracy, math.exp(-steps / (2 * SLOWEST_CREEP_STEPS)))
    return 0 < later.bytes_per_step >= slowed * earlier.bytes_per_step


def levels_off(earlier: Growth, later: Growth) -> bool:
    """Whether a growth is certain to have slowed to less than half of its pace."""
    return later.high < earlier.low / 2


def is_leak(growth: Growth) -> bool:
    """Whether the upward trend is certain and would end the run within the horizon."""
    return (
        growth.low > OWN_GROWTH_BYTES
        and growth.dies_at_step is not None
        and growth.dies_at_step < HORIZON_STEPS
    )


def may_still_leak(growth: Growth, room_bytes: float) -> bool:
    """Whether the run is too short to rule out a leak that matters.

    One that would use up ``room_bytes`` within ``LOOKAHEAD`` times as many steps, and that the
    interval of the trend still contains. Where memory is the same after every step the answer is
    no at once; where it varies with the batches, more steps narrow the interval.
    """
    return growth.high > 0 and growth.high * LOOKAHEAD * growth.steps > room_bytes


def still_creeps(earlier_peak_bytes: int, peak_bytes: int, cap_bytes: int) -> bool:
    """Whether the high-water mark rose over the later half of a run by more than tolerated.

    Fragmentation raises what the allocator reserves while nothing that tensors hold grows, so
    that neither ``is_leak`` nor ``has_settled`` sees it.
    """
    return peak_bytes - earlier_peak_bytes > TOLERANCE * cap_bytes


def peak_ahead(earlier_peak_bytes: int, peak_bytes: int) -> int:
    """The high-water mark to expect of a longer run, in bytes: as much again as it rose over the
    later half of this one. Right for a creep that levels off or grows with the logarithm of the
    steps, once the run has been doubled often enough to see it."""
    return peak_bytes + max(0, peak_bytes - earlier_peak_bytes)


def has_settled(held_bytes: Sequence[int], cap_bytes: int | None) -> bool:
    """Whether the last three equal windows show no growth of their highest level."""
    window = len(held_bytes) // 4
    if window < 2:
        return False
    highs = [max(held_bytes[len(held_bytes) - (3 - i) * window :][:window]) for i in range(3)]
    allowed = TOLERANCE * (cap_bytes or max(highs))
    return highs[2] - highs[0] <= allowed
