"""Step time against the batch size, with intervals and the longest step that the window allows."""

from __future__ import annotations

from collections.abc import Sequence

from app.dashboard.charts.figure import Axis, Figure, Point, ReferenceLine
from app.dashboard.charts.sweep import (
    beyond_words,
    dots,
    grid,
    nearby,
    prediction,
    predictions,
    rests_words,
)
from app.dashboard.charts.units import Unit, time_unit
from probes.curve import fit
from probes.max_batch.result import measured_peaks, step_points
from probes.measurement import Measurement

FAR = 3.0


def step_time_figure(
    runs: Sequence[Measurement], chosen: int, longest_step_s: float | None
) -> Figure:
    """``runs`` are the measurements of one config, ``chosen`` its recommended batch."""
    shown, beyond = nearby([r for r in runs if r.step_time is not None], chosen)
    curve = fit(step_points(measured_peaks(shown)))
    predicted = predictions(curve, grid(shown, chosen))
    highest = max(
        [r.step_time.high_s for r in shown if r.step_time] + [e.value for _, e in predicted],
        default=0.0,
    )
    near = longest_step_s is not None and longest_step_s <= FAR * highest
    unit = time_unit([highest])
    lines, bands = prediction(predicted, unit)
    window = (
        [ReferenceLine("longest step allowed", "window", "y", unit.of(longest_step_s))]
        if longest_step_s is not None
        else []
    )
    return Figure(
        name="step-time",
        title="Step time against the batch",
        caption="Mean of the measured steps without warm-up, with its 90 % interval. "
        + ("" if longest_step_s is None or near else "The time window allows much longer steps. ")
        + rests_words(curve)
        + beyond_words(beyond),
        x=Axis("batch size", from_zero=True),
        y=Axis("step time", unit.symbol, from_zero=True),
        series=[*lines, *dots(shown, lambda r: _dot(r, unit), chosen)],
        bands=bands,
        rules=window if near else [],
        also=[] if near else window,
    )


def _dot(run: Measurement, unit: Unit) -> Point | None:
    timing = run.step_time
    if timing is None:
        return None
    return Point(
        run.batch_size, unit.of(timing.mean_s), unit.of(timing.low_s), unit.of(timing.high_s)
    )
