"""The events of a study as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from app.dashboard.filters import number, settings, words
from app.jobs.records import JobEvent
from probes.formatting import duration_text, size_text

Data = dict[str, Any]


class LogLine(NamedTuple):
    """What happened, and when."""

    id: int
    at: str
    kind: str
    text: str


def log_lines(events: Sequence[JobEvent]) -> list[LogLine]:
    return [
        LogLine(each.id, each.created_at.strftime("%H:%M:%S"), each.kind, _text(each))
        for each in events
    ]


def _text(event: JobEvent) -> str:
    words_of = _WORDS.get(event.kind)
    said = words_of(event.data) if words_of is not None else ""
    return said or str(event.data.get("message") or event.data.get("reason") or event.kind)


def _probe(data: Data) -> str:
    expected = data.get("expected_peak_bytes")
    guess = f", expected peak {size_text(expected)}" if expected else ""
    return f"batch {data['batch_size']} of {settings(data['config'])} ({data['purpose']}{guess})"


def _measured(data: Data) -> str:
    facts = [f"batch {data['batch_size']}: {words(data['verdict'])}"]
    if data.get("peak_bytes"):
        facts.append(f"peak {size_text(data['peak_bytes'])}")
    if data.get("step_mean_s"):
        facts.append(f"{duration_text(data['step_mean_s'])} per step")
    if data.get("tainted"):
        facts.append("disturbed by other programs")
    return ", ".join(facts)


def _settled(data: Data) -> str:
    state = f"config {data['trial'] + 1} is {data['state']}. {data['reason']}"
    return state if data.get("batch_size") is None else f"{state} (batch {data['batch_size']})"


def _incumbent(data: Data) -> str:
    rate = number(data["throughput_samples_per_s"])
    return f"{settings(data['config'])}, batch {data['batch_size']}: {rate} samples/s"


_WORDS: dict[str, Callable[[Data], str]] = {
    "queued": lambda data: "waiting for a runner",
    "started": lambda data: "started by a runner",
    "trial": lambda data: f"config {data['trial'] + 1}: {settings(data['config'])}",
    "probe": _probe,
    "measured": _measured,
    "reused": lambda data: f"{_measured(data)} (stored earlier)",
    "settled": _settled,
    "incumbent": _incumbent,
    "note": lambda data: str(data["text"]),
    "waiting": lambda data: str(data["reason"]),
    "opened": lambda data: f"study {data['study_id']} ({data['opening']})",
}
