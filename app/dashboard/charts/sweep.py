"""What the charts against the batch size share: which runs are drawn, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from app.dashboard.charts.figure import Band, Point, Series
from app.dashboard.charts.units import Unit
from probes.curve import Curve, Estimate
from probes.measurement import Measurement, Purpose, Verdict

NEAR = 2.5
"""Runs up to this multiple of the chosen batch are drawn."""
GRID_POINTS = 40
WORDS = {
    Verdict.OOM: "out of memory",
    Verdict.LEAK: "leak",
    Verdict.SPILL: "spill to swap",
    Verdict.SHAPE_LIMIT: "shape limit",
    Verdict.TIMEOUT: "time-out",
    Verdict.CRASH: "crash",
    Verdict.NON_FINITE: "non-finite loss",
    Verdict.UNSUPPORTED: "unsupported",
}


def nearby(runs: Sequence[Measurement], chosen: int) -> tuple[list[Measurement], int]:
    """The runs to draw, smallest batch first, and how many are too far away to draw."""
    shown = [r for r in runs if r.batch_size <= NEAR * chosen]
    return sorted(shown, key=lambda r: r.batch_size), len(runs) - len(shown)


def grid(shown: Sequence[Measurement], chosen: int) -> list[int]:
    """Batch sizes at which a curve is drawn, ascending, to slightly beyond the last run."""
    last = max([chosen * 1.15, *(r.batch_size * 1.03 for r in shown)])
    return sorted({max(1, round(last * k / GRID_POINTS)) for k in range(GRID_POINTS + 1)})


def predictions(curve: Curve | None, batches: Sequence[int]) -> list[tuple[int, Estimate]]:
    """What a curve says at each batch size; empty without a curve."""
    return [] if curve is None else [(batch, curve.at(batch)) for batch in batches]


def rests_words(curve: Curve | None) -> str:
    """On how many measurements the drawn curve rests."""
    if curve is None:
        return ""
    count = len(curve.knots)
    return f"The curve is predicted from {count} measurement{'s' if count > 1 else ''}. "


def prediction(
    predicted: Sequence[tuple[int, Estimate]], unit: Unit
) -> tuple[list[Series], list[Band]]:
    """The curve as a line with its band; empty if nothing was predicted."""
    if not predicted:
        return [], []
    points = [Point(batch, unit.of(e.value)) for batch, e in predicted]
    low, high = ([unit.of(getattr(e, side)) for _, e in predicted] for side in ("low", "high"))
    band = Band("prediction interval", "band", [batch for batch, _ in predicted], low, high)
    return [Series("predicted", "prediction", points, line=True, listed=False)], [band]


def dots(
    shown: Sequence[Measurement], place: Callable[[Measurement], Point | None], chosen: int
) -> list[Series]:
    """The runs grouped by outcome; ``place`` returns the position of a run."""
    groups: dict[tuple[str, str], list[Point]] = {}
    for run in shown:
        point = place(run)
        if point is None:
            continue
        groups.setdefault(_group(run, chosen), []).append(replace(point, note=_note(run)))
    return [Series(name, role, points) for (name, role), points in groups.items()]


def beyond_words(beyond: int) -> str:
    if not beyond:
        return ""
    probes, verb = ("One probe", "is") if beyond == 1 else (f"{beyond} probes", "are")
    return f"{probes} above {NEAR:g} times the recommended batch {verb} not shown."


def _group(run: Measurement, chosen: int) -> tuple[str, str]:
    if not run.passed:
        return WORDS.get(run.verdict, str(run.verdict)), str(run.verdict).replace("_", "-")
    if run.purpose is Purpose.CONFIRM:
        if run.batch_size == chosen:
            return "recommended (confirmed)", "chosen"
        return "confirmed", "confirmed"
    return "passed a few steps", "passed"


def _note(run: Measurement) -> str:
    words = [] if run.passed else [run.reason]
    if run.passed:
        words.append(f"{run.steps} steps" if run.steps else "passed")
    if run.tainted:
        words.append("disturbed: " + "; ".join(run.tainted))
    return ". ".join(words)
