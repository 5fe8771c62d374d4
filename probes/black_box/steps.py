"""Steps as a command's own output tells of them: lines that match, and what they count.

Standard library only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from probes.black_box.punctuation import narrow, narrow_pattern
from probes.errors import InputError

PRINT_STEPS = (
    'Print a line after each optimizer step, print("tonnage step", flush=True), or say how the '
    r"script's own lines look: --step 'iter (?P<step>\d+)'."
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LINE_END = re.compile(rb"[\r\n]+")
_TOTAL = re.compile(r"\s*(?:/|of\b)\s*(\d{1,15})\b")
LONGEST_LINE = 65_536
LARGEST_EPOCH = 1e9
PROGRESS_BAR = r"%\|.*\| *(?P<step>\d+)/\d+ \["
"""As tqdm draws them. Not among what is recognised unasked: there are bars for loading, too."""


@dataclass(frozen=True)
class Seen:
    """A sign that a step has ended."""

    at_s: float
    """On the monotonic clock."""
    number: int | None = None
    """The step's own number, where the sign has one."""
    loss: float | None = None
    evaluated: bool = False
    """Since the sign before, an evaluation took place or an epoch ended."""


def as_pattern(text: str) -> re.Pattern[str]:
    """Raises ``InputError`` for what is not a regular expression."""
    try:
        return re.compile(narrow_pattern(text), re.IGNORECASE)
    except re.error as error:
        raise InputError(
            f"The step pattern is not a regular expression: {error}: {text}\nExample: "
            r"--step 'iter (?P<step>\d+).*loss (?P<loss>\S+)'"
        ) from None


def advice(printed: str) -> str:
    """What to do where no step was recognised in this output."""
    if re.search(PROGRESS_BAR, printed):
        return (
            "There is a progress bar in it. If it counts optimizer steps, say so: --step "
            f"'{PROGRESS_BAR}'. Where there are several, begin with a word of the right one."
        )
    return f"{PRINT_STEPS} A line per epoch does not show the steps."


class OutputSteps:
    """Finds steps in one stream. A progress bar's carriage return ends a line too.

    A group named ``step`` (or the only group there is) is the step's number, one named ``samples``
    the number of samples so far, one named ``epoch`` the epoch's number, one named ``loss`` the
    loss.
    """

    def __init__(self, pattern: str, batch_size: int = 1, epoch_steps: int | None = None) -> None:
        self._pattern = as_pattern(pattern)
        self._samples_per_step = max(1, batch_size)
        self._steps_per_epoch = epoch_steps or 1
        named = [name for name in ("step", "samples", "epoch") if name in self._pattern.groupindex]
        self._number: str | int | None = named[0] if named else None
        if self._number is None and self._pattern.groups == 1 and not self._pattern.groupindex:
            self._number = 1
        self._rest = b""
        self.steps_ahead: int | None = None
        """Steps until the number reaches what it counts up to, where the last match is followed by
        that: the 500 in ``12/500``."""

    def read(self, data: bytes, now_s: float) -> list[Seen]:
        """The steps that end in this piece of output, which arrived now."""
        *lines, self._rest = _LINE_END.split(self._rest + data)
        self._rest = self._rest[-LONGEST_LINE:]
        found = []
        for line in lines:
            text = _ESCAPES.sub("", line[:LONGEST_LINE].decode(errors="replace"))
            match = self._pattern.search(narrow(text))
            if match:
                number = self._number_in(match)
                found.append(Seen(now_s, number, self._loss_in(match)))
                self.steps_ahead = self._ahead_of(match, number)
        return found

    def _ahead_of(self, match: re.Match[str], number: int | None) -> int | None:
        if number is None or self._number is None or self._number == "epoch":
            return None
        total = _TOTAL.match(match.string, match.end(self._number))
        return max(0, self._steps(int(total[1])) - number) if total else None

    def _steps(self, count: int) -> int:
        per = self._samples_per_step if self._number == "samples" else 1
        return -(-count // per)

    def _number_in(self, match: re.Match[str]) -> int | None:
        text = match[self._number] if self._number is not None else None
        if self._number == "epoch":
            value = as_loss(text)
            if value is None or not 0 <= value < LARGEST_EPOCH:
                return None
            return round(value * self._steps_per_epoch)
        text = text.replace(",", "") if text is not None else None
        if text is None or not text.isdecimal() or len(text) >= 16:
            return None
        return self._steps(int(text))

    def _loss_in(self, match: re.Match[str]) -> float | None:
        text = match["loss"] if "loss" in self._pattern.groupindex else None
        return as_loss(text)


def as_loss(value: object) -> float | None:
    """A number, NaN and infinity included; ``None`` for anything else."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


class StepCounter:
    """How many steps each sign stands for.

    Numbers tell, so that a log of every tenth step counts ten. A number that falls (another epoch)
    counts as many as the last one did, one that stays (two lines of one step) none.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._stride = 1

    def count(self, number: int | None) -> int:
        if number is None:
            return 1
        last, self._last = self._last, number
        if last is None or number < last:
            return self._stride
        if number > last:
            self._stride = number - last
            return self._stride
        return 0


@dataclass(frozen=True)
class Passed:
    """Steps that have ended, at equal distances as far as can be told."""

    count: int
    each_s: float
    """Time from one to the next."""
    at_s: float
    loss: float | None = None
    evaluated: bool = False
    """An evaluation or the end of an epoch is among them, and in their time."""


class StepClock:
    """From signs to steps with durations. The first sign only starts the clock."""

    def __init__(self) -> None:
        self._counter = StepCounter()
        self._last_s: float | None = None
        self.first: Seen | None = None

    def passed(self, seen: list[Seen]) -> list[Passed]:
        """What the signs that came together say. Those of one moment share the time since the one
        before them: they were printed one by one and arrived as one piece."""
        found: list[Passed] = []
        waiting: list[tuple[int, Seen]] = []
        for index, sign in enumerate(seen):
            count = self._counter.count(sign.number)
            if self.first is None:
                self.first, self._last_s = sign, sign.at_s
                continue
            if count:
                waiting.append((count, sign))
            is_last = index + 1 == len(seen)
            if waiting and (is_last or seen[index + 1].at_s > sign.at_s):
                assert self._last_s is not None
                steps = sum(n for n, _ in waiting)
                each_s = max(0.0, sign.at_s - self._last_s) / steps
                evaluated = any(waited.evaluated for _, waited in waiting)
                found += [Passed(n, each_s, sign.at_s, s.loss, evaluated) for n, s in waiting]
                self._last_s = sign.at_s
                waiting = []
        return found


def is_finite(loss: float | None) -> bool:
    return loss is None or math.isfinite(loss)
