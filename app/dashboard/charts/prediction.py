"""Predicted against measured values of probes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from app.dashboard.charts.figure import Axis, Figure, Point, Scale, Series
from app.dashboard.charts.units import Unit, memory_unit, time_unit
from optimizer.formatting import FEWEST_GRADED
from optimizer.records import Grade
from probes.formatting import plural

MOST_POINTS = 600
WIDE = 20.0
QUANTITIES: dict[str, tuple[str, Callable[[Iterable[float]], Unit]]] = {
    "peak_bytes": ("peak memory", memory_unit),
    "step_time_s": ("step time", time_unit),
}


def prediction_figures(grades: Sequence[Grade]) -> list[Figure]:
    """One chart per quantity with at least one value both predicted and measured."""
    figures = []
    for quantity, (name, unit_of) in QUANTITIES.items():
        graded = [g for g in grades if g.quantity == quantity and g.measured]
        if graded:
            figures.append(_figure(quantity, name, unit_of, graded))
    return figures


def _figure(
    quantity: str, name: str, unit_of: Callable[[Iterable[float]], Unit], graded: Sequence[Grade]
) -> Figure:
    drawn = graded[-MOST_POINTS:]
    measured = [g.measured for g in drawn if g.measured is not None]
    everything = [*measured, *(g.predicted for g in drawn)]
    unit = unit_of(everything)
    low, high = unit.of(min(everything)), unit.of(max(everything))
    wide = low > 0 and high > WIDE * low
    points = [
        Point(
            unit.of(g.measured or 0.0),
            unit.of(g.predicted),
            unit.of(g.low),
            unit.of(g.high),
            note=f"{g.error:+.1%}" if g.error is not None else "",
        )
        for g in drawn
    ]
    scale: Scale = "log" if wide else "linear"
    return Figure(
        name=f"prediction-{quantity.replace('_', '-')}",
        title=f"Predicted against measured: {name}",
        caption=_caption(graded),
        x=Axis(f"measured {name}", unit.symbol, scale=scale),
        y=Axis(f"predicted {name}", unit.symbol, scale=scale),
        series=[
            Series("exact", "identity", [Point(low, low), Point(high, high)], True, listed=False),
            Series("prediction with its interval", "passed", points),
        ],
    )


def _caption(graded: Sequence[Grade]) -> str:
    errors = [abs(g.error) for g in graded if g.error is not None]
    inside = sum(g.low <= (g.measured or 0.0) <= g.high for g in graded)
    count = "One prediction" if len(graded) == 1 else f"{len(graded)} predictions"
    newest = f" The newest {MOST_POINTS} are drawn." if len(graded) > MOST_POINTS else ""
    usual = (
        f"median error {statistics.median(errors):.1%}"
        if len(errors) >= FEWEST_GRADED
        else "too few for a median error"
    )
    return (
        f"{count}, {usual}; {inside} of {plural(len(graded), 'measurement')} "
        f"{'is' if len(graded) == 1 else 'are'} within the predicted interval.{newest}"
    )
