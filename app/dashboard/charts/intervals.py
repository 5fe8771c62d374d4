"""Two results side by side, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping

from app.dashboard.charts.figure import Axis, Figure, Point, Series
from app.dashboard.charts.units import Unit
from app.recommendations.compare import Interval


def intervals_figure(label: str, unit: Unit, sides: Mapping[str, Interval]) -> Figure:
    """One bar per side, the first on top."""
    heights = range(len(sides), 0, -1)
    return Figure(
        name=f"intervals-{label.replace(' ', '-')}",
        title=f"{label.capitalize()} with 90 % intervals",
        caption="",
        x=Axis(label, unit.symbol),
        y=Axis("", categories=tuple(reversed([*sides])), low=0.4, high=len(sides) + 0.6),
        series=[
            Series(
                name,
                role,
                [Point(unit.of(side.mean), height, unit.of(side.low), unit.of(side.high))],
                across=True,
            )
            for height, role, (name, side) in zip(heights, "ab", sides.items(), strict=True)
        ],
        height="low",
    )
