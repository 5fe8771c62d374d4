"""A fine-tuning while it trains: loss, throughput, and memory against what was predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.dashboard.charts.figure import Axis, Figure, Point, ReferenceLine, Series
from app.dashboard.charts.units import memory_unit
from app.database.models.finetuning import FineTuningEventRow, FineTuningRow

Events = Sequence[FineTuningEventRow]

MOST_POINTS = 400
FAR = 6.0
"""A limit this many times above the peak is named but not drawn: it would flatten the rest."""
TOGETHER = "training"


def training_figures(run: FineTuningRow, events: Events) -> list[Figure]:
    """Those that have something to show."""
    figures = [loss_figure(events), throughput_figure(events), peak_figure(run, events)]
    return [figure for figure in figures if not figure.is_empty]


def loss_figure(events: Events) -> Figure:
    """Training and evaluation loss."""
    return Figure(
        name="loss",
        title="Loss by step",
        caption="Mean per token of the completions. A training loss that goes on falling while "
        "the evaluation loss rises is over-fitting.",
        x=Axis("step", from_zero=True),
        y=Axis("loss"),
        series=[
            Series("training", "trace", _points(events, lambda e: e.loss), line=True),
            Series("evaluation", "b", _points(events, lambda e: e.eval_loss), line=True),
        ],
        together=TOGETHER,
    )


def throughput_figure(events: Events) -> Figure:
    """Tokens per second."""
    return Figure(
        name="throughput",
        title="Throughput by step",
        caption="Tokens per second since the log before, evaluations and checkpoints included.",
        x=Axis("step", from_zero=True),
        y=Axis("throughput", "tokens/s", from_zero=True),
        series=[Series("training", "trace", _points(events, lambda e: e.tokens_per_s), line=True)],
        together=TOGETHER,
    )


def peak_figure(run: FineTuningRow, events: Events) -> Figure:
    """Peak memory so far, the predicted peak and the limit."""
    peaks = [event.peak_bytes for event in events if event.peak_bytes]
    highest = max([*peaks, run.predicted_peak_bytes or 0], default=0)
    is_near = run.limit_bytes is not None and run.limit_bytes <= FAR * highest
    unit = memory_unit([highest, *([run.limit_bytes] if is_near and run.limit_bytes else [])])
    predicted, limits = [], []
    if run.predicted_peak_bytes:
        at = unit.of(run.predicted_peak_bytes)
        predicted = [ReferenceLine("predicted peak", "mean", "y", at)]
    if run.limit_bytes:
        limits = [ReferenceLine("limit", "limit", "y", unit.of(run.limit_bytes))]
    return Figure(
        name="peak",
        title="Peak memory by step",
        caption="The most memory in use since the process started."
        + ("" if is_near or not limits else " The limit is far above it."),
        x=Axis("step", from_zero=True),
        y=Axis("peak memory", unit.symbol, from_zero=True),
        series=[
            Series(
                "measured",
                "trace",
                _points(events, lambda e: unit.of(e.peak_bytes) if e.peak_bytes else None),
                line=True,
            )
        ],
        rules=[*predicted, *(limits if is_near else [])],
        also=[] if is_near else limits,
        together=TOGETHER,
    )


def _points(events: Events, value: Callable[[FineTuningEventRow], float | None]) -> list[Point]:
    """Every value; of a long run, evenly chosen ones and the last."""
    found = [Point(e.step, v) for e in events if (v := value(e)) is not None]
    stride = -(-len(found) // MOST_POINTS) or 1
    return [*found[::stride], *(found[-1:] if (len(found) - 1) % stride else [])]
