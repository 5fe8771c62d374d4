"""Two measured results side by side, and whether they differ by more than chance. Pure.

A stored interval (``StepTime``) covers 90 % of the means of such runs, in other processes too. Two
of them make one of the ratio by MOVER, the method of variance estimates recovery (Zou and Donner,
2008), on logarithms: the distances from the means to the limits add up in quadrature. The
difference is significant where that interval does not contain "equal". Overlapping intervals do not
decide it: two 90 % intervals may overlap although the difference is certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from probes.measurement import Config, Measurement

METHOD = (
    "The 90 % interval of the ratio is made from the two stored 90 % intervals of the mean step "
    "time (block bootstrap over the steps, widened by what tells two processes apart) by MOVER on "
    "logarithms (Zou and Donner, 2008). A difference is called significant where that interval "
    "does not contain 1: if there were none, one comparison in ten would be called so. Memory "
    "and batch are single confirmed results without an interval."
)


@dataclass(frozen=True)
class Interval:
    """A mean with the interval around it; all positive."""

    mean: float
    low: float
    high: float

    def reciprocal(self, factor: float = 1.0) -> Interval:
        """Of ``factor`` divided by this."""
        high = factor / self.low if self.low > 0 else math.inf
        return Interval(factor / self.mean, factor / self.high, high)


@dataclass(frozen=True)
class Result:
    """One confirmed config on a device: what stands on one side."""

    reference: str
    """By which it can be asked for again."""
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
class Difference:
    """B against A in one quantity where more is better."""

    ratio: Interval
    answer: Answer
    """Of B; ``equal``: no difference can be told."""


@dataclass(frozen=True)
class Comparison:
    """A and B."""

    a: Result
    b: Result
    throughput: Difference | None
    caveats: list[str]
    """What keeps the two from being comparable."""

    @property
    def sentence(self) -> str:
        if self.throughput is None:
            return "One of the two has no step time: their pace cannot be compared."
        ratio = self.throughput.ratio
        between = f"{_percent(ratio.low)} to {_percent(ratio.high)}"
        if self.throughput.answer == "equal":
            return (
                f"No significant difference in throughput: B against A is {_percent(ratio.mean)} "
                f"({between})."
            )
        if self.throughput.answer == "unknown":
            return f"Whether they differ cannot be told: B against A is {_percent(ratio.mean)}."
        return (
            f"B is significantly {self.throughput.answer}: {_percent(ratio.mean)} throughput "
            f"({between})."
        )


def compare(a: Result, b: Result) -> Comparison:
    """B against A."""
    first, second = a.throughput_samples_per_s, b.throughput_samples_per_s
    difference = None
    if first is not None and second is not None:
        ratio = ratio_of(second, first)
        difference = Difference(ratio, _answer(ratio))
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
                f"{name} was measured while the machine was disturbed "
                f"({'; '.join(side.run.tainted)}): it may be faster than it looks."
            )
        elif side.run.step_time is not None and not side.run.step_time.converged:
            found.append(f"The step times of {name} varied more than usual: see its interval.")
    if a.workload != b.workload:
        found.append("The workloads differ: a sample of one is not a sample of the other.")
    return found


def _percent(ratio: float) -> str:
    change = (ratio - 1) * 100
    digits = 1 if abs(change) < 10 else 0
    return f"{change:+.{digits}f} %".replace("-", "−") if math.isfinite(change) else "–"
