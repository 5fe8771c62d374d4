"""A chart as plain data: ``static/charts.js`` draws it, and its table lists the same numbers.

A builder decides what is shown, in which unit and under which role; the script only knows how a
role looks. Only ``to_json`` knows HTML: its text is safe inside a ``<script>`` element.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

DIGITS = 5
"""Significant digits sent to the browser: more than a pixel can show."""


Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Axis:
    """The quantity on an axis, and its unit."""

    label: str
    unit: str = ""
    scale: Scale = "linear"
    from_zero: bool = False
    low: float | None = None
    """Start of the smallest range shown, whatever the points are."""
    high: float | None = None
    categories: tuple[str, ...] = ()
    """Names shown at 1, 2, 3 … instead of numbers."""

    @property
    def title(self) -> str:
        return f"{self.label} [{self.unit}]" if self.unit else self.label


@dataclass(frozen=True)
class Point:
    """One mark, with its interval if it has one, and a note."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one kind. ``role`` decides how they look; ``line`` joins them."""

    name: str
    role: str
    points: Sequence[Point]
    line: bool = False
    across: bool = False
    """Intervals lie along x instead of y."""
    listed: bool = True
    """Whether its points are listed in the table. Points that only draw a curve are not."""


@dataclass(frozen=True)
class Band:
    """An area between two curves."""

    name: str
    role: str
    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class ReferenceLine:
    """A straight line across the chart, labelled with its name."""

    name: str
    role: str
    axis: Literal["x", "y"]
    at: float


@dataclass(frozen=True)
class Zone:
    """A shaded stripe across the chart."""

    name: str
    role: str
    axis: Literal["x", "y"]
    low: float
    high: float


class Entry(NamedTuple):
    """A line of the legend."""

    name: str
    role: str
    is_zone: bool


@dataclass(frozen=True)
class Table:
    """The numbers of a chart, also for people who cannot see it."""

    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Figure:
    """One chart."""

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: Sequence[Series] = ()
    bands: Sequence[Band] = ()
    rules: Sequence[ReferenceLine] = ()
    zones: Sequence[Zone] = ()
    height: Literal["normal", "low"] = "normal"
    together: str = ""
    """Charts with the same name here share their position along x."""
    also: Sequence[ReferenceLine] = field(default=())
    """Lines too far away to be drawn; only the table has them."""

    @property
    def is_empty(self) -> bool:
        return not any(series.points for series in self.series)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, by column, rounded to visible precision. NaN and infinity become null."""
        return {
            "title": self.title,
            "x": _plain(self.x),
            "y": _plain(self.y),
            "series": [_series(each) for each in self.series if each.points],
            "bands": [_plain(each) for each in self.bands],
            "rules": [_plain(each) for each in self.rules],
            "zones": [_plain(each) for each in self.zones],
            "height": self.height,
            "together": self.together,
        }

    def to_json(self) -> str:
        """Text for the inside of ``<script type="application/json">``."""
        return script_json(self.to_dict())

    def legend(self) -> list[Entry]:
        """Each name once, in drawing order. Empty if there is only one, or if the axis shows the
        names."""
        if self.y.categories:
            return []
        found = [Entry(s.name, s.role, False) for s in self.series if s.points]
        found += [Entry(rule.name, rule.role, False) for rule in self.rules]
        found += [Entry(band.name, band.role, True) for band in self.bands]
        found += [Entry(zone.name, zone.role, True) for zone in self.zones]
        return list(dict.fromkeys(found)) if len(found) > 1 else []

    def table(self) -> Table:
        """Every listed point and every line, as text."""
        listed = [series for series in self.series if series.listed and series.points]
        intervals = any(p.low is not None for series in listed for p in series.points)
        header = ["", self.x.title, self.y.title]
        header += ["interval"] if intervals else []
        header += ["note"]
        rows = []
        for series in listed:
            for point in series.points:
                row = [series.name, _on(self.x, point.x), _on(self.y, point.y)]
                if intervals:
                    row.append(_between(point))
                rows.append([*row, point.note])
        for rule in (*self.rules, *self.also):
            place = [_on(self.x, rule.at), ""] if rule.axis == "x" else ["", _on(self.y, rule.at)]
            rows.append([rule.name, *place, *([""] if intervals else []), ""])
        return Table(header, rows)


def script_json(document: Any) -> str:
    """JSON that can neither end the ``<script>`` element around it nor start a comment in it."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def short(value: float | None) -> float | None:
    """Rounded to ``DIGITS`` significant digits; ``None`` for NaN and infinity."""
    if value is None or not math.isfinite(value):
        return None
    if value == 0 or float(value).is_integer():
        return value
    return float(f"{value:.{DIGITS}g}")


def number_text(value: float) -> str:
    """Four digits with thousands separators, never an exponent."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _on(axis: Axis, value: float) -> str:
    if axis.categories:
        return axis.categories[round(value) - 1]
    return number_text(value)


def _between(point: Point) -> str:
    if point.low is None or point.high is None:
        return ""
    return f"{number_text(point.low)} to {number_text(point.high)}"


def _numbers(values: Sequence[float | None]) -> list[float | None]:
    return [short(value) for value in values]


def _plain(part: Axis | Band | ReferenceLine | Zone) -> dict[str, Any]:
    """The fields of a part, JSON-ready."""
    return {name: _sent(value) for name, value in asdict(part).items()}


def _sent(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_sent(each) for each in value]
    return short(value) if isinstance(value, float) else value


def _series(series: Series) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": series.name,
        "role": series.role,
        "line": series.line,
        "across": series.across,
        "x": _numbers([p.x for p in series.points]),
        "y": _numbers([p.y for p in series.points]),
    }
    if any(p.low is not None for p in series.points):
        document["low"] = _numbers([p.low for p in series.points])
        document["high"] = _numbers([p.high for p in series.points])
    if any(p.note for p in series.points):
        document["note"] = [p.note for p in series.points]
    return document
