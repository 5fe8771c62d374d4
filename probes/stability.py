"""Does memory stay where it is? The rules that tell a stable run from one that dies later.

Pure functions over memory at step boundaries. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from probes.measurement import Growth

HORIZON_STEPS = 100_000
"""A run that would fill the memory within so many steps is a leak; slower creep is noise."""
TOLERANCE = 0.0025
"""Growth between windows below this fraction of the cap counts as none."""
CONFIDENCE_Z = 1.96


def held_growth(held_bytes: Sequence[int], cap_bytes: int | None, peak_bytes: int) -> Growth:
    """Trend of memory at step boundaries by Theil-Sen, with Sen's (1968) rank interval.

    Robust on purpose: one late allocation (a workspace, a lazily built buffer) is a step in the
    curve, not a slope, and must not be mistaken for a leak.
    """
    n = len(held_bytes)
    slopes = sorted(
        (held_bytes[j] - held_bytes[i]) / (j - i) for i in range(n) for j in range(i + 1, n)
    )
    if not slopes:
        return Growth(0.0, 0.0, 0.0, n, None)
    spread = CONFIDENCE_Z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = slopes[max(0, int((len(slopes) - spread) / 2))]
    high = slopes[min(len(slopes) - 1, int((len(slopes) + spread) / 2) + 1)]
    rate = statistics.median(slopes)
    dies_at_step = None
    if rate > 0 and cap_bytes is not None:
        dies_at_step = n + max(0, int((cap_bytes - peak_bytes) / rate))
    return Growth(rate, low, high, n, dies_at_step)


def is_leak(growth: Growth) -> bool:
    """Whether the upward trend is certain and would end the run within the horizon."""
    return (
        growth.low > 0 and growth.dies_at_step is not None and growth.dies_at_step < HORIZON_STEPS
    )


def has_settled(held_bytes: Sequence[int], cap_bytes: int | None) -> bool:
    """Whether the last three equal windows show no growth of their highest level."""
    window = len(held_bytes) // 4
    if window < 2:
        return False
    highs = [max(held_bytes[len(held_bytes) - (3 - i) * window :][:window]) for i in range(3)]
    allowed = TOLERANCE * (cap_bytes or max(highs))
    return highs[2] - highs[0] <= allowed
