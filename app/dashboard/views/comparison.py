"""What the page ``/compare`` shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.dashboard import filters
from app.dashboard.charts.figure import Figure
from app.dashboard.charts.intervals import intervals_figure
from app.dashboard.charts.units import Unit, time_unit
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
from probes.space_text import value_text

MOST_OPTIONS = 100


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


def options(database: Database, chosen: Sequence[ComparedSide]) -> dict[str, str]:
    """What can be chosen, as titles by reference: the newest recommendations, and the sides chosen
    already."""
    with database.read() as session:
        found = recommendations.listing(session, limit=MOST_OPTIONS)
    made = {side.result.reference: side.result.title for side in chosen}
    return {each.id: title_of(each) for each in found} | made


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
    """One row per quantity; ``both`` is how it is read from a side, ``text`` how it is written."""

    def row(
        name: str, both: Callable[[Result], Any], text: Callable[..., str] = str
    ) -> ComparedRow:
        return _row(name, both(a), both(b), text)

    return [
        row("workload", lambda side: side.workload),
        row("device", lambda side: f"{side.device_name} ({side.device})"),
        row("torch", lambda side: _value(side.run.environment, "torch")),
        *(
            _row(name, _value(a.config, name), _value(b.config, name), str)
            for name in dict.fromkeys([*a.config, *b.config])
        ),
        row("batch size", lambda side: side.run.effective_batch_size, filters.number),
        row("throughput", lambda side: side.throughput_samples_per_s, _rate),
        row("step time", lambda side: side.step_time_s, duration_text),
        row("peak memory", lambda side: side.run.peak_bytes, size_text),
        row("memory limit", lambda side: side.run.limit_bytes, size_text),
        row("parameters", lambda side: side.run.parameters, filters.number),
    ]


def _row(name: str, a: Any, b: Any, text: Callable[..., str]) -> ComparedRow:
    """The change is a ratio: of numbers, or of means with their intervals."""
    change = between = ""
    if isinstance(a, Interval) and isinstance(b, Interval):
        ratio = ratio_of(b, a)
        change = f"× {filters.number(ratio.mean)}"
        between = f"{filters.number(ratio.low)} to {filters.number(ratio.high)}"
    elif isinstance(a, (int, float)) and isinstance(b, (int, float)) and a and b:
        change = f"× {filters.number(b / a)}"
    return ComparedRow(name, _cell(a, text), _cell(b, text), change, between)


def _cell(value: Any, text: Callable[..., str]) -> ComparedValue:
    if isinstance(value, Interval):
        return ComparedValue(text(value.mean), f"{text(value.low)} to {text(value.high)}")
    return ComparedValue(NOTHING if value is None else text(value))


def _value(config: dict[str, Any], name: str) -> str:
    return value_text(config[name]) if name in config else NOTHING


def _rate(samples_per_s: float) -> str:
    return f"{filters.number(samples_per_s)} /s"


def _figures(comparison: Comparison) -> list[Figure]:
    """Empty if a side has no step time."""
    a, b = comparison.a, comparison.b
    if a.step_time_s is None or b.step_time_s is None:
        return []
    steps = {"A": a.step_time_s, "B": b.step_time_s}
    step_figure = intervals_figure("step time", time_unit([i.mean for i in steps.values()]), steps)
    rates = {
        name: interval
        for name, side in (("A", a), ("B", b))
        if (interval := side.throughput_samples_per_s) and math.isfinite(interval.high)
    }
    if len(rates) < len(steps):
        return [step_figure]
    return [intervals_figure("throughput", Unit("samples/s", 1.0), rates), step_figure]
