"""Two results side by side, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.dashboard.charts.figure import Axis, Figure, Point, Series


@dataclass(frozen=True)
class IntervalBar:
    """One of the compared values with its interval, in the unit of the axis."""

    name: str
    value: float
    low: float
    high: float


def intervals_figure(label: str, unit: str, sides: Sequence[IntervalBar]) -> Figure:
    """One bar per side, the first on top."""
    names = tuple(side.name for side in reversed(sides))
    roles = ("a", "b")
    return Figure(
        name=f"intervals-{label.replace(' ', '-')}",
        title=f"{label[0].upper()}{label[1:]} with 90 % intervals",
        caption="",
        x=Axis(label, unit),
        y=Axis("", categories=names, low=0.4, high=len(sides) + 0.6),
        series=[
            Series(
                side.name,
                roles[index % 2],
                [Point(side.value, len(sides) - index, side.low, side.high)],
                across=True,
            )
            for index, side in enumerate(sides)
        ],
        height="low",
    )
