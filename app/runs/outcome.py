"""How a training run ended, from its exit status and its last output. Pure functions."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from enum import StrEnum

from probes.classify import classify_death
from probes.measurement import Verdict

INTERRUPTING = (1, 2, 15)
"""Signals by which people and schedulers end a run: HUP, INT, TERM."""
MOST_TIMES = 50
"""Step times that count, the last ones: the first include compiling and warm-up."""

_STEP_TIMES = (
    re.compile(r"(?P<value>\d+(?:\.\d+)?)\s?(?P<unit>s|ms)/(?:it|step|batch)\b", re.IGNORECASE),
    re.compile(r"(?P<value>\d+(?:\.\d+)?)\s?(?P<unit>it|steps?|batch(?:es)?)/s\b", re.IGNORECASE),
    re.compile(
        r"\bstep[_ ]time(?:_(?P<unit>s|ms))?[\"']?\s*[:=]\s*(?P<value>\d+(?:\.\d+)?(?:e-?\d+)?)",
        re.IGNORECASE,
    ),
    re.compile(r"train_steps_per_second[\"']?\s*[:=]\s*(?P<value>\d+(?:\.\d+)?)(?P<unit>)"),
)

_WORDS = {
    "the worker": "the run",
    " before it could report": "",
    "memory cap was exceeded": "memory was not enough",
}
"""Words about a probe, and the words for a training run, which has no cap and reports to nobody."""


class Outcome(StrEnum):
    """How a training run ended."""

    FINISHED = "finished"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Ending:
    """The outcome of a run."""

    outcome: Outcome
    reason: str
    """Empty where there is nothing to explain."""


def ending(returncode: int, tail: str, cgroup_oom_kills: int, *, stopped_by_us: bool) -> Ending:
    """``returncode`` as ``subprocess`` gives it; ``tail`` is the last output; ``stopped_by_us``:
    a signal was passed on to it."""
    if returncode == 0:
        return Ending(Outcome.FINISHED, "")
    death = classify_death(returncode, tail, near_cap=False, cgroup_oom_kills=cgroup_oom_kills)
    reason = death.reason
    for of_a_worker, of_a_run in _WORDS.items():
        reason = reason.replace(of_a_worker, of_a_run)
    if death.verdict is Verdict.OOM:
        return Ending(Outcome.OUT_OF_MEMORY, reason)
    number = -returncode if returncode < 0 else returncode - 128
    if stopped_by_us or number in INTERRUPTING:
        return Ending(
            Outcome.INTERRUPTED, f"it was stopped by signal {number}" if number > 0 else ""
        )
    return Ending(Outcome.FAILED, reason)


def exit_status(returncode: int) -> int:
    """As a shell gives it: 128 + n for a process that signal n ended."""
    return 128 - returncode if returncode < 0 else returncode


class StepTimes:
    """Reads step times from output as it comes; progress bars end lines with carriage returns."""

    def __init__(self) -> None:
        self._rest = b""
        self._found: list[float] = []

    def read(self, data: bytes) -> None:
        *lines, self._rest = re.split(rb"[\r\n]+", self._rest[-4096:] + data)
        for line in lines[-200:]:
            step_time_s = step_time_in(line[:4096].decode(errors="replace"))
            if step_time_s is not None:
                self._found = [*self._found[-MOST_TIMES + 1 :], step_time_s]

    @property
    def median_s(self) -> float | None:
        return statistics.median(self._found) if self._found else None


def step_time_in(line: str) -> float | None:
    """Seconds per step as a line tells it: ``1.25s/it``, ``4.1it/s``, ``step_time_s=0.3``."""
    for pattern in _STEP_TIMES:
        match = pattern.search(line)
        if match is None:
            continue
        value, unit = float(match["value"]), (match["unit"] or "").lower()
        if value <= 0:
            return None
        if unit == "ms":
            return value / 1000
        is_rate = unit not in ("", "s") or "per_second" in match[0]
        return 1 / value if is_rate else value
    return None
