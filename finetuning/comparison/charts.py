"""Where each mark of the report's charts stands. The template draws; nothing here knows HTML.

Coordinates are those of an SVG: x to the right, y downwards, in units of its view box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from finetuning.comparison.result import Finding, ModelFigure, PairedTest
from finetuning.comparison.sentences import value_text
from finetuning.evaluation.metrics import Direction

WIDTH = 960.0
LABELS = 340.0
"""Width of the column of names."""
ROW = 26.0
EDGE = 14.0
AXIS = 46.0
SIDE = 300.0
"""Width and height of a square chart."""
BINS = 15
LONGEST_LABEL = 50


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` on pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, most: int = 6) -> list[Tick]:
        """At most ``most + 1`` round numbers within the scale."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
        places = max(0, -math.floor(math.log10(step)) + (1 if step / power == 2.5 else 0))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [
            Tick(self(n * step), f"{n * step:,.{min(places, 9)}f}".replace("-", "−"))
            for n in range(first, last + 1)
        ]


@dataclass(frozen=True)
class Row:
    """A value with its interval in a chart of rows."""

    label: str
    full_label: str
    y: float
    x: float
    low_x: float
    high_x: float
    look: str
    """Class of the mark: a finding, or the number of a model's colour."""
    title: str


@dataclass(frozen=True)
class RowChart:
    """Values with intervals, one per row: a forest plot."""

    name: str
    title: str
    axis: str
    rows: Sequence[Row]
    ticks: Sequence[Tick]
    zero_x: float | None
    left_says: str
    right_says: str

    width: float = WIDTH

    @property
    def bottom(self) -> float:
        return EDGE + ROW * len(self.rows)

    @property
    def height(self) -> float:
        return self.bottom + AXIS


@dataclass(frozen=True)
class Mark:
    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Scatter:
    """Each group under both models, and the line on which they are equal."""

    name: str
    marks: Sequence[Mark]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    low: float
    high: float
    """Ends of the diagonal, along x and, mirrored, along y."""


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Histogram:
    """How many groups differ by how much."""

    name: str
    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    counts: Sequence[Tick]
    zero_x: float | None
    mean_x: float


def difference_chart(name: str, tests: Sequence[PairedTest]) -> RowChart | None:
    """Forest plot of the differences in one metric; none where none has an interval."""
    drawn = [t for t in tests if None not in (t.difference, t.low, t.high)]
    if not drawn:
        return None
    first = drawn[0]
    higher = first.direction is Direction.HIGHER
    return _row_chart(
        name,
        f"{first.task}: difference in {first.metric.replace('_', ' ')}",
        f"difference{f' [{first.unit}]' if first.unit else ''}",
        [
            (
                _pair_label(t),
                (t.difference or 0.0, t.low or 0.0, t.high or 0.0),
                t.finding.value,
                t.sentence,
            )
            for t in drawn
        ],
        zero=True,
        says=("worse", "better") if higher else ("better", "worse"),
    )


def effect_chart(tests: Sequence[PairedTest]) -> RowChart | None:
    """Forest plot of all effect sizes, turned so that better is to the right."""
    rows = []
    for t in tests:
        if t.effect_size is None or t.effect_low is None or t.effect_high is None:
            continue
        ends = (t.effect_size, t.effect_low, t.effect_high)
        if t.direction is Direction.LOWER:
            ends = (-ends[0], -ends[2], -ends[1])
        label = f"{t.task}, {t.metric.replace('_', ' ')}: {_pair_label(t)}"
        said = (
            f"{label}. d = {value_text(ends[0])} ({value_text(ends[1])} to {value_text(ends[2])})"
        )
        rows.append((label, ends, t.finding.value, said))
    if not rows:
        return None
    return _row_chart(
        "effects",
        "Effect sizes of all tests",
        "Cohen's d for pairs, positive is better",
        rows,
        zero=True,
        says=("worse", "better"),
    )


def figure_chart(name: str, figures: Sequence[ModelFigure], models: Sequence[str]) -> RowChart:
    """Every model's figure of one metric, source by source."""
    first = figures[0]
    order = sorted(
        (f for f in figures if f.value is not None),
        key=lambda f: (f.source is not None, f.source or "", models.index(f.model)),
    )
    rows = []
    for f in order:
        value = f.value or 0.0
        ends = (value, value if f.low is None else f.low, value if f.high is None else f.high)
        label = f"{f.source if f.source is not None else 'all'}: {f.model}"
        said = (
            f"{label}: {value_text(f.value, f.unit)} ({value_text(f.low)} to {value_text(f.high)})"
        )
        rows.append((label, ends, f"model-{models.index(f.model) % 6}", said))
    return _row_chart(
        name,
        f"{first.task}: {first.metric.replace('_', ' ')}",
        f"{first.metric.replace('_', ' ')}{f' [{first.unit}]' if first.unit else ''}, "
        f"{first.direction.value} is better",
        rows,
    )


def scatter(name: str, test: PairedTest) -> Scatter | None:
    """The groups of a test as points; none without any."""
    if not test.pairs:
        return None
    values = [v for p in test.pairs for v in (p.baseline, p.model)]
    low, high = _range(min(values), max(values))
    x, y = Scale(low, high, 52, SIDE - EDGE), Scale(low, high, SIDE - 46, EDGE)
    return Scatter(
        name,
        [
            Mark(
                x(p.baseline),
                y(p.model),
                f"{p.group}: {test.baseline} {value_text(p.baseline)}, "
                f"{test.model} {value_text(p.model)}",
            )
            for p in test.pairs
        ],
        x.ticks(4),
        y.ticks(4),
        low,
        high,
    )


def histogram(name: str, test: PairedTest) -> Histogram | None:
    """How the groups' differences are distributed; none without any."""
    differences = [p.model - p.baseline for p in test.pairs]
    if not differences:
        return None
    low, high = _range(min(differences), max(differences))
    step = (high - low) / BINS
    counts = [0] * BINS
    for one in differences:
        counts[min(BINS - 1, int((one - low) / step))] += 1
    x, y = Scale(low, high, 52, SIDE - EDGE), Scale(0, max(counts) * 1.05, SIDE - 46, EDGE)
    bars = [
        Bar(
            x(low + n * step),
            y(count),
            round(x(step) - x(0) - 1, 2),
            round(SIDE - 46 - y(count), 2),
            f"{count} from {value_text(low + n * step)} to {value_text(low + (n + 1) * step)}",
        )
        for n, count in enumerate(counts)
        if count
    ]
    zero = x(0.0) if low <= 0 <= high else None
    whole = [tick for tick in y.ticks(4) if float(tick.text.replace(",", "")).is_integer()]
    return Histogram(name, bars, x.ticks(4), whole, zero, x(sum(differences) / len(differences)))


def _row_chart(
    name: str,
    title: str,
    axis: str,
    rows: Sequence[tuple[str, tuple[float, float, float], str, str]],
    *,
    zero: bool = False,
    says: tuple[str, str] = ("", ""),
) -> RowChart:
    ends = [end for _, three, _, _ in rows for end in three] + ([0.0] if zero else [])
    scale = Scale(*_range(min(ends), max(ends)), LABELS, WIDTH - EDGE)
    return RowChart(
        name,
        title,
        axis,
        [
            Row(
                label=shortened(label),
                full_label=label,
                y=EDGE + ROW * (place + 0.5),
                x=scale(value),
                low_x=scale(begin),
                high_x=scale(end),
                look=look,
                title=said,
            )
            for place, (label, (value, begin, end), look, said) in enumerate(rows)
        ],
        scale.ticks(),
        scale(0.0) if zero else None,
        *says,
    )


def _pair_label(test: PairedTest) -> str:
    source = f" ({test.source})" if test.source is not None else ""
    return f"{test.model} − {test.baseline}{source}"


def shortened(label: str) -> str:
    """The label with its middle left out where it is too long."""
    if len(label) <= LONGEST_LABEL:
        return label
    half = (LONGEST_LABEL - 1) // 2
    return f"{label[:half]}…{label[-half:]}"


def _range(low: float, high: float) -> tuple[float, float]:
    """The range of a chart: its values with a margin, and never empty."""
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


FINDING_WORDS = {
    Finding.BETTER: "better",
    Finding.WORSE: "worse",
    Finding.NO_DIFFERENCE: "no difference found",
    Finding.EQUAL: "equal",
    Finding.CANNOT_TELL: "cannot tell",
}
