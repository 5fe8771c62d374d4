"""What the page ``/compare`` shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.dashboard import filters
from app.dashboard.charts.figure import Figure
from app.dashboard.charts.intervals import IntervalBar, intervals_figure
from app.dashboard.charts.units import time_unit
from app.database import Database
from app.devices import repository as devices
from app.errors import NotFound
from app.measurements import repository as measurements
from app.recommendations import repository as recommendations
from app.recommendations.compare import Comparison, Interval, Result, compare, ratio_of
from optimizer.formatting import config_text
from optimizer.records import Recommendation
from probes.devices.fingerprint import Fingerprint
from probes.formatting import NOTHING, duration_text, size_text
from probes.measurement import Measurement

MOST_OPTIONS = 100


@dataclass(frozen=True)
class Option:
    """A result that can be chosen."""

    reference: str
    title: str


@dataclass(frozen=True)
class ComparedSide:
    """A result and the device it was measured on."""

    result: Result
    fingerprint: Fingerprint | None


@dataclass(frozen=True)
class ComparedValue:
    text: str
    interval: str = ""


@dataclass(frozen=True)
class ComparedRow:
    """One quantity of both sides."""

    name: str
    a: ComparedValue
    b: ComparedValue
    change: str = ""
    change_interval: str = ""

    @property
    def differs(self) -> bool:
        return self.a.text != self.b.text


@dataclass(frozen=True)
class CompareView:
    """Everything below the form."""

    comparison: Comparison
    rows: list[ComparedRow]
    figures: list[Figure]
    device_differences: list[str]


def options(database: Database, chosen: Sequence[ComparedSide]) -> list[Option]:
    """The newest recommendations, and the sides chosen already."""
    with database.read() as session:
        found = recommendations.listing(session, limit=MOST_OPTIONS)
    made = {each.id: Option(each.id, title_of(each)) for each in found}
    for side in chosen:
        made.setdefault(side.result.reference, Option(side.result.reference, side.result.title))
    return list(made.values())


def title_of(recommendation: Recommendation) -> str:
    r = recommendation
    when = filters.moment(r.valid.get("created_at"))
    return (
        f"{r.workload}, {filters.words(r.budget)}, {r.device}: {config_text(r.config)}, "
        f"batch {r.batch_size} ({when})"
    )


def side_of(database: Database, reference: str) -> ComparedSide:
    """The side for a recommendation id, or for a measurement given as ``m`` and its number.

    Raises ``NotFound``.
    """
    with database.read() as session:
        if reference.startswith("m") and reference[1:].isdecimal():
            stored = measurements.get(session, int(reference[1:]))
            if stored is None:
                raise NotFound(f"There is no measurement {reference[1:]}.")
            run = Measurement.from_dict(stored.document)
            title = (
                f"{run.workload}, {run.device}: {config_text(run.config)}, batch {run.batch_size}"
            )
            key = stored.fingerprint
        else:
            found = recommendations.get(session, reference)
            document = found.evidence.get("highest_passing") if found else None
            if found is None or not document:
                raise NotFound(f"There is no recommendation {reference} with stored evidence.")
            run, title = Measurement.from_dict(document), title_of(found)
            key = found.fingerprint
        device = devices.find(session, key)
    name = device.name if device else run.device
    known = device.groups if device else None
    return ComparedSide(
        Result(reference, title, run.workload, run.device, name, run.config, run), known
    )


def view(a: ComparedSide, b: ComparedSide) -> CompareView:
    """B compared with A."""
    comparison = compare(a.result, b.result)
    differences = (
        a.fingerprint.differences(b.fingerprint) if a.fingerprint and b.fingerprint else []
    )
    return CompareView(comparison, _rows(a.result, b.result), _figures(comparison), differences)


def _rows(a: Result, b: Result) -> list[ComparedRow]:
    rows = [
        _texts("workload", a.workload, b.workload),
        _texts("device", f"{a.device_name} ({a.device})", f"{b.device_name} ({b.device})"),
        _texts("torch", _value(a.run.environment, "torch"), _value(b.run.environment, "torch")),
    ]
    for name in dict.fromkeys([*a.config, *b.config]):
        rows.append(_texts(name, _value(a.config, name), _value(b.config, name)))
    rows.append(_plain("batch size", a.run.effective_batch_size, b.run.effective_batch_size))
    rows.append(
        _interval("throughput", a.throughput_samples_per_s, b.throughput_samples_per_s, _rate)
    )
    rows.append(_interval("step time", a.step_time_s, b.step_time_s, duration_text))
    rows.append(_plain("peak memory", a.run.peak_bytes, b.run.peak_bytes, size_text))
    rows.append(_plain("memory limit", a.run.limit_bytes, b.run.limit_bytes, size_text))
    rows.append(_plain("parameters", a.run.parameters, b.run.parameters))
    return rows


def _texts(name: str, a: str, b: str) -> ComparedRow:
    return ComparedRow(name, ComparedValue(a), ComparedValue(b))


def _value(config: dict[str, Any], name: str) -> str:
    return filters.value_text(config[name]) if name in config else NOTHING


def _plain(name: str, a: float | None, b: float | None, text: Any = filters.number) -> ComparedRow:
    change = f"× {filters.number(b / a)}" if a and b else ""
    return ComparedRow(name, ComparedValue(text(a)), ComparedValue(text(b)), change)


def _interval(name: str, a: Interval | None, b: Interval | None, text: Any) -> ComparedRow:
    change, between = "", ""
    if a is not None and b is not None:
        ratio = ratio_of(b, a)
        change = f"× {filters.number(ratio.mean)}"
        between = f"{filters.number(ratio.low)} to {filters.number(ratio.high)}"
    return ComparedRow(name, _cell(a, text), _cell(b, text), change, between)


def _cell(value: Interval | None, text: Any) -> ComparedValue:
    if value is None:
        return ComparedValue(NOTHING)
    return ComparedValue(text(value.mean), f"{text(value.low)} to {text(value.high)}")


def _rate(samples_per_s: float) -> str:
    return f"{filters.number(samples_per_s)} /s"


def _figures(comparison: Comparison) -> list[Figure]:
    figures = []
    sides = (("A", comparison.a), ("B", comparison.b))
    rates = [(name, side.throughput_samples_per_s) for name, side in sides]
    bars = [
        IntervalBar(name, i.mean, i.low, i.high) for name, i in rates if i and math.isfinite(i.high)
    ]
    if len(bars) == 2:
        figures.append(intervals_figure("throughput", "samples/s", bars))
    steps = [(name, side.step_time_s) for name, side in sides]
    unit = time_unit([i.mean for _, i in steps if i])
    bars = [IntervalBar(n, unit.of(i.mean), unit.of(i.low), unit.of(i.high)) for n, i in steps if i]
    if len(bars) == 2:
        figures.append(intervals_figure("step time", unit.symbol, bars))
    return figures
