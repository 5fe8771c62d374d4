"""Peak memory against the batch size: measured, predicted, and the limits."""

from __future__ import annotations

from collections.abc import Sequence

from app.dashboard.charts.figure import Axis, Figure, Point, ReferenceLine, Zone
from app.dashboard.charts.sweep import (
    beyond_words,
    dots,
    grid,
    nearby,
    prediction,
    predictions,
    rests_words,
)
from app.dashboard.charts.units import Unit, memory_unit
from probes.max_batch.result import memory_curve
from probes.measurement import Measurement

FAR = 6.0
"""A limit this many times above everything else is named but not drawn: it would flatten the
rest."""


def memory_figure(runs: Sequence[Measurement], chosen: int) -> Figure:
    """``runs`` are the measurements of one config, ``chosen`` its recommended batch."""
    shown, beyond = nearby(runs, chosen)
    limit = next((r.limit_bytes for r in runs if r.limit_bytes), None)
    cap = next((r.cap_bytes for r in runs if r.cap_bytes), None)
    if cap is None and limit is not None:
        cap = int(limit * (1 - runs[0].headroom))
    curve = memory_curve(shown)
    predicted = predictions(curve, grid(shown, chosen))
    highest = max(
        [needed_bytes(r) or 0.0 for r in shown] + [e.value for _, e in predicted], default=0.0
    )
    near = limit is not None and limit <= FAR * highest
    unit = memory_unit([highest, *([limit] if near and limit else [])])
    lines, bands = prediction(predicted, unit)
    rules, zones = _bounds(limit, cap, unit)
    dotted = dots(shown, lambda r: _dot(r, unit, cap), chosen)
    return Figure(
        name="memory",
        title="Peak memory against the batch",
        caption=_caption(limit, cap, near) + rests_words(curve) + beyond_words(beyond),
        x=Axis("batch size", from_zero=True),
        y=Axis("peak memory", unit.symbol, from_zero=True),
        series=[*lines, *dotted],
        bands=bands,
        rules=rules if near else [],
        zones=zones if near else [],
        also=[] if near else rules,
    )


def needed_bytes(run: Measurement) -> float | None:
    """Peak memory of a run; if an allocation was refused, including the refused request."""
    if run.passed or run.requested_bytes is None:
        return run.peak_bytes
    return (run.peak_bytes or 0) + run.requested_bytes


def _dot(run: Measurement, unit: Unit, cap: int | None) -> Point | None:
    needed = needed_bytes(run)
    if needed is None:
        needed = cap  # it failed without reporting how much it needed
    if needed is None:
        return None
    return Point(run.batch_size, unit.of(needed))


def _bounds(
    limit: int | None, cap: int | None, unit: Unit
) -> tuple[list[ReferenceLine], list[Zone]]:
    rules, zones = [], []
    if limit is not None:
        rules.append(ReferenceLine("limit", "limit", "y", unit.of(limit)))
    if cap is not None:
        rules.append(ReferenceLine("load line", "load-line", "y", unit.of(cap)))
    if limit is not None and cap is not None and cap < limit:
        zones.append(Zone("headroom", "headroom", "y", unit.of(cap), unit.of(limit)))
    return rules, zones


def _caption(limit: int | None, cap: int | None, near: bool) -> str:
    if limit is None or cap is None:
        return "Peak memory of each probe. "
    kept = f"{1 - cap / limit:.0%}"
    if not near:
        unit = memory_unit([float(limit)])
        return (
            f"The limit, {unit.of(limit):.1f} {unit.symbol}, is far above what this config "
            "needs, so memory is not the limit. "
        )
    return (
        f"A run must stay below the load line: the limit minus {kept} headroom. A run that was "
        "refused memory is drawn at the amount it requested, or more. "
    )
