"""Step time: when warm-up is over, how long a step takes, and how sure that is. Pure functions.

Standard library only, Python 3.10 syntax: the worker decides with these when it has measured
enough. All durations are seconds.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

from probes.measurement import StepTime

STEADY_RATIO = 1.05
"""Three windows whose medians lie within this ratio are steady (reference: perf_analyzer uses
1.10 over three windows, here tighter because a step is longer than a request)."""
REPEATABILITY = {"cpu": 0.10}
"""Relative half-width that an interval has at least, by kind of device: two fresh processes differ
by more than the steps of either would tell, in one case of twenty by 9 to 13 % on a machine that
others use (``benchmarks/step_time``)."""
USUAL_REPEATABILITY = 0.01
RESAMPLES = 400
CONFIDENCE = 0.90


def is_steady(step_s: Sequence[float], window: int = 3) -> bool:
    """Whether the last three windows agree and do not keep getting faster.

    A monotone fall of all three medians by more than 1 % each is still warm-up, however close
    they are to each other.
    """
    if len(step_s) < 3 * window:
        return False
    recent = step_s[-3 * window :]
    medians = [statistics.median(recent[i * window : (i + 1) * window]) for i in range(3)]
    if min(medians) <= 0:
        return False
    falling = all(later < earlier * 0.99 for earlier, later in zip(medians, medians[1:]))
    return max(medians) / min(medians) <= STEADY_RATIO and not falling


def mean_interval(step_s: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """90 % bootstrap interval of the mean, in seconds.

    Moving blocks of n^(1/3) steps (Künsch, 1989) instead of single steps: neighbouring steps are
    not independent on a machine that others use, and treating them as if they were makes the
    interval too narrow.
    """
    n = len(step_s)
    if n < 2:
        return (step_s[0], step_s[0]) if n else (math.nan, math.nan)
    block = max(1, round(n ** (1 / 3)))
    generator = random.Random(seed)
    starts = range(n - block + 1)
    per_resample = math.ceil(n / block)
    sums = [sum(step_s[start : start + block]) for start in starts]
    means = sorted(
        sum(generator.choices(sums, k=per_resample)) / (per_resample * block)
        for _ in range(RESAMPLES)
    )
    tail = (1 - CONFIDENCE) / 2
    return means[int(tail * RESAMPLES)], means[min(RESAMPLES - 1, int((1 - tail) * RESAMPLES))]


def is_precise(step_s: Sequence[float], half_width: float) -> bool:
    """Whether the interval of the mean is within ``half_width`` of it (relative, each way)."""
    if len(step_s) < 3:
        return False
    low, high = mean_interval(step_s)
    return (high - low) / 2 <= half_width * statistics.fmean(step_s)


def summarise(
    step_s: Sequence[float],
    data_s: Sequence[float],
    *,
    warmup_steps: int,
    steady: bool,
    half_width: float,
    device_kind: str,
) -> StepTime:
    """The measured window as a ``StepTime``. ``step_s`` must not be empty.

    The interval is about any run of such steps, not this one alone: the bootstrap's, widened by
    what tells two processes on such a device apart.
    """
    ordered = sorted(step_s)
    low, high = _between_processes(statistics.fmean(ordered), *mean_interval(step_s), device_kind)
    return StepTime(
        median_s=statistics.median(ordered),
        mean_s=statistics.fmean(ordered),
        low_s=low,
        high_s=high,
        p10_s=percentile(ordered, 0.10),
        p90_s=percentile(ordered, 0.90),
        steps=len(ordered),
        warmup_steps=warmup_steps,
        converged=steady and is_precise(step_s, half_width),
        data_s=statistics.median(data_s) if data_s else 0.0,
    )


def _between_processes(
    mean: float, low: float, high: float, device_kind: str
) -> tuple[float, float]:
    apart = mean * REPEATABILITY.get(device_kind, USUAL_REPEATABILITY)
    return max(0.0, mean - math.hypot(mean - low, apart)), mean + math.hypot(high - mean, apart)


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Linear interpolation between the two nearest of an ascending sequence."""
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
