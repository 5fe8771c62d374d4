"""Two measured results side by side, and whether they differ by more than chance.

A stored interval (``StepTime``) covers 90 % of the means of such runs, also in other processes. The
interval of the ratio is computed from two of them by MOVER, the method of variance estimates
recovery (Zou and Donner, 2008), on logarithms: the distances from the means to the limits add in
quadrature. A difference is significant if that interval excludes 1. Overlapping intervals do not
decide it: two 90 % intervals can overlap although the difference is significant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from probes.measurement import Config, Measurement

METHOD = (
    "The 90 % interval of the ratio is computed by MOVER on logarithms (Zou and Donner, 2008) from "
    "the two stored 90 % intervals of the mean step time (block bootstrap over the steps, widened "
    "by the variation between processes). A difference is significant if that interval excludes 1; "
    "without any real difference, one comparison in ten is significant. Memory and batch are "
    "single confirmed results without an interval."
)


@dataclass(frozen=True)
class Interval:
    """A mean with the interval around it; all positive."""

    mean: float
    low: float
    high: float

    def reciprocal(self, factor: float = 1.0) -> Interval:
        """The interval of ``factor`` divided by this value."""
        high = factor / self.low if self.low > 0 else math.inf
        return Interval(factor / self.mean, factor / self.high, high)


@dataclass(frozen=True)
class Result:
    """One side of a comparison: a confirmed config on a device."""

    reference: str
    """The id to request it by."""
    title: str
    workload: str
    device: str
    device_name: str
    config: Config
    run: Measurement

    @property
    def step_time_s(self) -> Interval | None:
        t = self.run.step_time
        return None if t is None else Interval(t.mean_s, t.low_s, t.high_s)

    @property
    def throughput_samples_per_s(self) -> Interval | None:
        step = self.step_time_s
        return None if step is None else step.reciprocal(self.run.effective_batch_size)


Answer = Literal["faster", "slower", "equal", "unknown"]


@dataclass(frozen=True)
class ThroughputChange:
    """The throughput of B relative to A."""

    ratio: Interval
    answer: Answer
    """Whether B is faster; ``equal`` if there is no significant difference."""


@dataclass(frozen=True)
class Comparison:
    """A and B."""

    a: Result
    b: Result
    throughput: ThroughputChange | None
    caveats: list[str]
    """Why the two may not be comparable."""

    @property
    def sentence(self) -> str:
        if self.throughput is None:
            return "One side has no step time, so the two cannot be compared."
        ratio = self.throughput.ratio
        between = f"{_percent(ratio.low)} to {_percent(ratio.high)}"
        change = f"B relative to A is {_percent(ratio.mean)}"
        if self.throughput.answer == "equal":
            return f"No significant difference in throughput: {change} ({between})."
        if self.throughput.answer == "unknown":
            return f"The intervals are too wide to compare: {change}."
        return (
            f"B is significantly {self.throughput.answer}: {_percent(ratio.mean)} throughput "
            f"({between})."
        )


def compare(a: Result, b: Result) -> Comparison:
    """Compare B with A."""
    first, second = a.throughput_samples_per_s, b.throughput_samples_per_s
    difference = None
    if first is not None and second is not None:
        ratio = ratio_of(second, first)
        difference = ThroughputChange(ratio, _answer(ratio))
    return Comparison(a, b, difference, _caveats(a, b))


def ratio_of(numerator: Interval, denominator: Interval) -> Interval:
    """The interval of a ratio of two independent means, by MOVER on logarithms."""
    if min(numerator.mean, denominator.mean) <= 0:
        return Interval(math.nan, 0.0, math.inf)
    up = math.hypot(_log(numerator.high, numerator.mean), _log(denominator.mean, denominator.low))
    down = math.hypot(_log(numerator.mean, numerator.low), _log(denominator.high, denominator.mean))
    ratio = numerator.mean / denominator.mean
    return Interval(ratio, ratio * math.exp(-down), ratio * _exp(up))


def _log(larger: float, smaller: float) -> float:
    if smaller <= 0 or math.isinf(larger):
        return math.inf
    return max(0.0, math.log(larger / smaller))


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)


def _answer(ratio: Interval) -> Answer:
    if not (math.isfinite(ratio.low) and math.isfinite(ratio.high) and ratio.low > 0):
        return "unknown"
    if ratio.low > 1:
        return "faster"
    return "slower" if ratio.high < 1 else "equal"


def _caveats(a: Result, b: Result) -> list[str]:
    found = []
    for name, side in (("A", a), ("B", b)):
        if side.run.tainted:
            found.append(
                f"{name} was measured while other programs disturbed the machine "
                f"({'; '.join(side.run.tainted)}): it may be faster than shown."
            )
        elif side.run.step_time is not None and not side.run.step_time.converged:
            found.append(f"The step times of {name} varied more than usual: see its interval.")
    if a.workload != b.workload:
        found.append("The workloads differ, so samples per second are not directly comparable.")
    return found


def _percent(ratio: float) -> str:
    change = (ratio - 1) * 100
    digits = 1 if abs(change) < 10 else 0
    return f"{change:+.{digits}f}%".replace("-", "−") if math.isfinite(change) else "–"
