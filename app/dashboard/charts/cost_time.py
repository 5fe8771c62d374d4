"""Time against cost: one mark per device class, and the region that meets the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.dashboard.charts.figure import Axis, Band, Figure, Point, ReferenceLine, Series
from app.dashboard.charts.units import Unit, time_unit
from optimizer.formatting import config_text

NAMES = {
    "chosen": "chosen",
    "confirmed": "measured",
    "timeout": "measured, beyond the limits",
    "passed": "prior, not measured",
}
"""By role, in drawing order."""
ROOM = 1.6
"""How far the axes reach beyond the outermost marks."""


def cost_time_figure(answer: Mapping[str, Any]) -> Figure:
    """Of the document of a fleet answer. Classes whose cost is not known are left out; if that is
    all of them, the figure is empty."""
    rows = [r for r in answer["classes"] if r["training_time_s"] and r["cost"]]
    chosen = answer["winners"].get("chosen")
    if chosen is not None and chosen["cost"]:  # its config may be another than the class's row
        rows = [chosen if r["class_id"] == chosen["class_id"] else r for r in rows]
    deadline_s, money = answer["deadline_s"], answer["budget_money"]
    times = [t for r in rows for t in (r["training_time_s"]["low"], r["training_time_s"]["high"])]
    costs = [c for r in rows for c in (r["cost"]["low"], r["cost"]["high"])]
    unit = time_unit([*times, deadline_s or 0.0])
    low_s, high_s = _range(times, deadline_s)
    least, most = _range(costs, money)
    groups: dict[str, list[Point]] = {role: [] for role in NAMES}
    for row in rows:
        groups[_role(row, answer["chosen"])].append(_point(row, unit))
    bands: list[Band] = []
    rules: list[ReferenceLine] = []
    if rows and (deadline_s is not None or money is not None):
        right = unit.of(deadline_s if deadline_s is not None else high_s)
        top = money if money else most
        x = [unit.of(low_s), right]
        bands = [Band("within the limits", "window", x, [least] * 2, [top] * 2)]
        if deadline_s is not None:
            rules.append(ReferenceLine("deadline", "limit", "x", right))
        if money:
            rules.append(ReferenceLine("most it may cost", "limit", "y", money))
    return Figure(
        name="cost-time",
        title="Time against cost",
        caption="Each mark is a device class, with the interval of its time. Priors are hollow.",
        x=Axis("training time", unit.symbol, "log", low=unit.of(low_s), high=unit.of(high_s)),
        y=Axis("cost", answer["currency"], "log", low=least, high=most),
        series=[Series(NAMES[role], role, points, across=True) for role, points in groups.items()],
        bands=bands,
        rules=rules,
    )


def _role(row: Mapping[str, Any], chosen: str | None) -> str:
    if row["basis"] == "prior":
        return "passed"
    if row["class_id"] == chosen:
        return "chosen"
    return "confirmed" if row["meets"] else "timeout"


def _point(row: Mapping[str, Any], unit: Unit) -> Point:
    time = row["training_time_s"]
    note = f"{row['name']}: {config_text(row['config'])}, batch {row['batch_size']}"
    return Point(
        unit.of(time["mean"]), max(row["cost"]["mean"], 1e-9), unit.of(time["low"]),
        unit.of(time["high"]), note,
    )  # fmt: skip


def _range(values: Sequence[float], limit: float | None) -> tuple[float, float]:
    """The part of a logarithmic axis that is shown; never zero."""
    every = [*values, *([limit] if limit else [])]
    positive = [value for value in every if value > 0] or [1.0]
    return min(positive) / ROOM, max(positive) * ROOM
