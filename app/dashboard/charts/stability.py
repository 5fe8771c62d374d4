"""The confirmation run step by step: do memory and step time stay constant?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from app.dashboard.charts.figure import Axis, Figure, Point, ReferenceLine, Series, Zone
from app.dashboard.charts.units import memory_unit, time_unit
from probes.measurement import Measurement

MOST_POINTS = 400
LEAST_SPAN = 0.02
"""The axis spans at least this fraction of the memory limit, so that small changes look flat."""
TOGETHER = "steps"


def stability_figures(run: Measurement) -> list[Figure]:
    """Memory held after each step, and the time of each step; empty without a trace."""
    figures = []
    if run.trace.held_bytes:
        figures.append(_memory(run))
    if run.trace.step_s:
        figures.append(_pace(run))
    return figures


def _memory(run: Measurement) -> Figure:
    held = run.trace.held_bytes
    unit = memory_unit(held)
    low, high = min(held), max(held)
    least = LEAST_SPAN * (run.limit_bytes or high)
    middle, span = (low + high) / 2, max(high - low, least)
    return Figure(
        name="stability-memory",
        title="Memory held after each step of the confirmation run",
        caption=_trend_words(run),
        x=_steps(len(held)),
        y=Axis(
            "held memory",
            unit.symbol,
            low=unit.of(max(0.0, middle - 0.6 * span)),
            high=unit.of(middle + 0.6 * span),
        ),
        series=[
            Series(
                "held after the step",
                "trace",
                _thinned([unit.of(b) for b in held], max),
                line=True,
            )
        ],
        zones=_warm_up(run, len(held)),
        height="low",
        together=TOGETHER,
    )


def _pace(run: Measurement) -> Figure:
    seconds = run.trace.step_s
    unit = time_unit([statistics.median(seconds)])
    mean = run.step_time.mean_s if run.step_time else None
    return Figure(
        name="stability-pace",
        title="Time of each step of the confirmation run",
        caption=_pace_words(run),
        x=_steps(len(seconds)),
        y=Axis("step time", unit.symbol, from_zero=True),
        series=[
            Series("step", "trace", _thinned([unit.of(s) for s in seconds], max), line=True),
        ],
        rules=[ReferenceLine("mean", "mean", "y", unit.of(mean))] if mean is not None else [],
        zones=_warm_up(run, len(seconds)),
        height="low",
        together=TOGETHER,
    )


def _steps(count: int) -> Axis:
    return Axis("step", low=0, high=count + 1)


def _warm_up(run: Measurement, count: int) -> list[Zone]:
    steps = run.step_time.warmup_steps if run.step_time else 0
    return [Zone("warm-up", "warm-up", "x", 0, min(steps, count) + 0.5)] if steps else []


def _thinned(values: Sequence[float], keep: Callable[[Sequence[float]], float]) -> list[Point]:
    """Every value; for a long run, the value that ``keep`` picks from each stretch, at its step."""
    stride = -(-len(values) // MOST_POINTS)
    points = []
    for start in range(0, len(values), stride):
        stretch = values[start : start + stride]
        picked = keep(stretch)
        points.append(Point(start + list(stretch).index(picked) + 1, picked))
    return points


def _trend_words(run: Measurement) -> str:
    growth = run.growth
    if growth is None:
        return f"{run.steps} steps in a fresh process."
    low, high = growth.low / 1024, growth.high / 1024
    flat = growth.low <= 0 <= growth.high
    found = "No growth found" if flat else "Trend"
    return (
        f"{found}: {low:.3g} to {high:.3g} KiB per step over {growth.steps} steps "
        "(Theil–Sen, 95 % interval)."
    )


def _pace_words(run: Measurement) -> str:
    timing = run.step_time
    if timing is None:
        return ""
    unit = time_unit([timing.mean_s])
    words = (
        f"Mean {unit.of(timing.mean_s):.4g} {unit.symbol}, 90 % interval "
        f"{unit.of(timing.low_s):.4g} to {unit.of(timing.high_s):.4g}; most steps took "
        f"{unit.of(timing.p10_s):.4g} to {unit.of(timing.p90_s):.4g}."
    )
    if run.tainted:
        words += " Disturbed: " + "; ".join(run.tainted) + "."
    return words
