"""What a lower power limit saves, and what it costs: time and energy at each limit, in pairs.

A round measures the usual limit and then every other one, each in a process of its own; the next
round goes backwards. So a steady drift of the machine cancels, as in every ablation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from optimizer.ablation.interval import FEWEST_PAIRS, paired_interval
from optimizer.ablation.judge import Change
from optimizer.ablation.limits import PAIR_PLAN
from optimizer.ablation.pairs import AFTER_FIRST, BEFORE_FIRST
from optimizer.ablation.readings import RESOLUTION
from probes.errors import InputError, MeasurementError
from probes.measurement import Measurement

POWER_PLAN = replace(
    PAIR_PLAN,
    warmup_steps=5,
    max_warmup_steps=30,
    max_measure_steps=5000,
    least_measure_s=4.0,
    measure_budget_s=8.0,
)
"""Longer than the usual probe of a pair: a sensor that is updated ten times a second takes seconds
to tell an energy, and the clocks need a moment to follow the limit."""
USUAL_ROUNDS = 4


class PowerBench(Protocol):
    """One config and batch of a workload on one device whose power limit can be set."""

    def probe(self, limit_w: float) -> Measurement:
        """One probe in a fresh process under this limit, as ``POWER_PLAN`` says."""
        ...


@dataclass(frozen=True)
class LimitEffect:
    """What one limit came to. Changes are relative to the usual limit, with 95 % intervals; their
    bounds are ``None`` with fewer than four rounds."""

    limit_w: float
    power_w: float
    """Mean over the measured steps."""
    step_time_s: float
    energy_per_sample_j: float
    step_time_change: Change | None = None
    """``None`` for the usual limit itself."""
    energy_change: Change | None = None

    def to_dict(self) -> dict[str, Any]:
        found = asdict(self)
        for name in ("step_time_change", "energy_change"):
            if (change := getattr(self, name)) is not None:
                is_open = math.isinf(change.high)
                found[name] = {
                    "value": change.value,
                    "low": None if is_open else change.low,
                    "high": None if is_open else change.high,
                }
        return found


@dataclass(frozen=True)
class PowerSweep:
    """The answer of a sweep."""

    usual: LimitEffect
    limits: list[LimitEffect]
    """In the order in which they were asked for."""
    rounds: int
    disturbed: list[str]
    """What disturbed a probe, each once."""
    source: str
    """The sensor of the energy."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "usual": self.usual.to_dict(),
            "limits": [each.to_dict() for each in self.limits],
            "rounds": self.rounds,
            "disturbed": self.disturbed,
            "energy_source": self.source,
        }


@dataclass
class _Values:
    """What the probes under one limit told, round by round."""

    step_s: list[float] = field(default_factory=list)
    sample_j: list[float] = field(default_factory=list)
    power_w: list[float] = field(default_factory=list)


Report = Callable[[str, int, int], None]
"""What is being done, in words, and how many of how many probes are done."""


def sweep(
    bench: PowerBench,
    usual_w: float,
    limits_w: Sequence[float],
    rounds: int = USUAL_ROUNDS,
    report: Report = lambda text, done, of: None,
) -> PowerSweep:
    """Measure the usual limit and the others, ``rounds`` times each.

    Raises ``InputError`` for no limit but the usual one, and ``MeasurementError`` where a probe
    does not pass or no sensor tells its energy.
    """
    others = [limit for limit in dict.fromkeys(limits_w) if limit != usual_w]
    if not others:
        raise InputError(f"Every limit that was asked for is the usual one, {usual_w:g} W.")
    sides = [usual_w, *others]
    values = {limit: _Values() for limit in sides}
    orders: list[int] = []
    tainted: dict[str, None] = {}
    source = ""
    for number in range(rounds):
        forward = number % 2 == 0
        orders.append(BEFORE_FIRST if forward else AFTER_FIRST)
        for limit in sides if forward else sides[::-1]:
            done = sum(len(each.step_s) for each in values.values())
            report(f"at {limit:g} W", done, rounds * len(sides))
            source = _keep(values[limit], limit, run := bench.probe(limit))
            tainted.update(dict.fromkeys(run.tainted))
    usual = values[usual_w]
    return PowerSweep(
        usual=_effect(usual_w, usual),
        limits=[
            replace(
                _effect(limit, values[limit]),
                step_time_change=_change(usual.step_s, values[limit].step_s, orders),
                energy_change=_change(usual.sample_j, values[limit].sample_j, orders),
            )
            for limit in others
        ],
        rounds=rounds,
        disturbed=list(tainted),
        source=source,
    )


def _keep(values: _Values, limit_w: float, run: Measurement) -> str:
    """Add what a probe told; the sensor that told it."""
    if not run.passed or run.step_time is None:
        raise MeasurementError(f"The probe at {limit_w:g} W did not pass: {run.reason}")
    if run.energy is None:
        raise MeasurementError(
            f"The energy at {limit_w:g} W is not available, because {run.energy_unavailable}."
        )
    values.step_s.append(run.step_time.mean_s)
    values.sample_j.append(run.energy.per_sample_j)
    values.power_w.append(run.energy.power_w)
    return run.energy.source


def _effect(limit_w: float, values: _Values) -> LimitEffect:
    return LimitEffect(
        limit_w=limit_w,
        power_w=sum(values.power_w) / len(values.power_w),
        step_time_s=_mean(values.step_s),
        energy_per_sample_j=_mean(values.sample_j),
    )


def _change(before: Sequence[float], after: Sequence[float], orders: Sequence[int]) -> Change:
    differences = [math.log(a / b) for b, a in zip(before, after, strict=True)]
    found = paired_interval(
        differences, orders if len(orders) >= FEWEST_PAIRS else None, least=RESOLUTION
    )
    value, low = math.exp(found.effect) - 1, math.exp(found.low) - 1
    return Change(value, low, math.inf if math.isinf(found.high) else math.exp(found.high) - 1)


def _mean(values: Sequence[float]) -> float:
    """Geometric, as the changes are."""
    return math.exp(sum(map(math.log, values)) / len(values))
