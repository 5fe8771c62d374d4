"""The corpus of training logs: what a person reads from them, beside what the step finder reads.

Each ``tests/probes/corpus/logs/NAME.log`` has a ``NAME.json``: ``steps`` and ``losses`` are pairs
of a line's number (from 1, carriage returns count as line ends) and the value; ``not_steps`` names
lines that count something else; ``alternative`` holds another counter that is as good.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.discovery.finder import FoundStep, StepFinder
from probes.black_box.discovery.text import LineSplitter

LOGS = Path(__file__).parents[1] / "corpus" / "logs"
SECONDS_PER_LINE = 0.1
SAME_STEP = "the same step again"


@dataclass(frozen=True)
class Entry:
    """One program's output and the truth about it."""

    name: str
    data: bytes
    truth: dict[str, Any]

    @property
    def lines(self) -> list[str]:
        return LineSplitter().lines(self.data + b"\n")

    @property
    def has_steps(self) -> bool:
        return bool(self.truth["counts"] != "nothing")


@cache
def entries() -> list[Entry]:
    return [
        Entry(path.stem, path.with_suffix(".log").read_bytes(), json.loads(path.read_text()))
        for path in sorted(LOGS.glob("*.json"))
    ]


@dataclass
class Reading:
    """What the finder made of a log."""

    finder: StepFinder
    steps: list[FoundStep]
    """Since the last revision. ``at_s`` tells the line."""
    decided_at: int
    """The line with which the last choice was made; 0 without one."""

    @property
    def taken(self) -> list[tuple[int, int | None, float | None]]:
        """Line, step and loss."""
        return [(round(s.at_s / SECONDS_PER_LINE), s.number, s.loss) for s in self.steps]


def read(
    lines: list[str],
    batch_size: int | None = None,
    dataset_size: int | None = None,
    earlier: EarlierRun | None = None,
) -> Reading:
    finder = StepFinder(batch_size, dataset_size, earlier)
    steps: list[FoundStep] = []
    revision = decided_at = 0
    for number, line in enumerate(lines, 1):
        found = finder.read(line, number * SECONDS_PER_LINE)
        if finder.revision != revision:
            revision, steps, decided_at = finder.revision, [], number
        steps += found
    return Reading(finder, steps, decided_at)


def read_entry(entry: Entry) -> Reading:
    return _read_named(entry.name)


def read_again(entry: Entry, earlier: EarlierRun | None) -> Reading:
    """As a second run reads it, which knows what an earlier one took for the steps."""
    truth = entry.truth
    return read(entry.lines, truth.get("batch_size"), truth.get("dataset_size"), earlier)


@cache
def _read_named(name: str) -> Reading:
    entry = next(entry for entry in entries() if entry.name == name)
    truth = entry.truth
    return read(entry.lines, truth.get("batch_size"), truth.get("dataset_size"))


def mistakes(entry: Entry, reading: Reading) -> list[str]:
    """What is wrong with a reading, in words; a program that is not recognised is no mistake."""
    if reading.finder.choice is None:
        return []
    if not entry.has_steps:
        return [f"took {reading.finder.choice.description}"]
    counters = [entry.truth["steps"], *entry.truth.get("alternative", [])]
    same = set(entry.truth["not_steps"].get(SAME_STEP, []))
    found = [_mistakes(counter, same, reading) for counter in counters]
    return min(found, key=len)


def _mistakes(steps: list[tuple[int, int]], same: set[int], reading: Reading) -> list[str]:
    found: list[str] = []
    truth = dict(steps)
    taken = reading.taken
    wrong = [line for line, _, _ in taken if line not in truth and line not in same]
    if wrong:
        found.append(f"lines {wrong[:8]} are no steps ({len(wrong)} of {len(taken)})")
    progress = dict(steps)
    last = 0
    for line in range(1, max([*progress, *same, 1]) + 1):
        last = progress.setdefault(line, last)
    before: tuple[int, int] | None = None
    for line, number, _ in taken:
        if number is None or line not in progress:
            continue
        now = (progress[line], number)
        if before is not None and now[0] - before[0] != now[1] - before[1]:
            found.append(f"line {line}: {now[1] - before[1]} steps instead of {now[0] - before[0]}")
        before = now
    return found


def coverage(entry: Entry, reading: Reading) -> float:
    """The share of all steps that lie between the first and the last line that was taken."""
    numbers = [number for _, number, _ in reading.taken if number is not None]
    steps = [step for _, step in entry.truth["steps"]]
    if len(steps) < 2:
        return 0.0
    if not numbers:
        return len(reading.taken) / len(steps)
    true = steps[-1] - steps[0]
    for other in entry.truth.get("alternative", []):
        if other[-1][0] and reading.taken and reading.taken[-1][0] == other[-1][0]:
            true = other[-1][1] - other[0][1]
    return (numbers[-1] - numbers[0]) / true


def wrong_losses(entry: Entry, reading: Reading) -> int:
    """Taken lines whose loss is not the last that was printed by then."""
    losses = dict(entry.truth["losses"])
    if not losses:
        return 0
    wrong = 0
    for line, _, loss in reading.taken:
        if loss is not None:
            now = [losses[near] for near in range(max(1, line - 700), line + 1) if near in losses]
            wrong += not any(abs(loss - value) <= 1e-3 * max(1, abs(value)) for value in now)
        elif line in losses:
            wrong += 1
    return wrong


def table(results: list[tuple[Entry, Reading]]) -> str:
    """One line per program, for people."""
    rows = []
    for entry, reading in results:
        wrong = mistakes(entry, reading)
        choice = reading.finder.choice
        said = "WRONG: " + wrong[0] if wrong else choice.description if choice else "nothing taken"
        said = re.sub(r"\s+", " ", said)
        rows.append(f"{entry.name:28s} line {reading.decided_at:3d}  {said}")
    return "\n".join(rows)


def is_recognised(entry: Entry, reading: Reading) -> bool:
    return coverage(entry, reading) >= 0.9
