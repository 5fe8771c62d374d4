"""Lines that tell of a loss and hold no counter: ``loss: 0.43`` after each step."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import takewhile

from probes.black_box.discovery.counter import CounterGrowth
from probes.black_box.discovery.losses import VALUE, loss_in
from probes.black_box.discovery.shape import NUMBER, OutputLine, Slot
from probes.black_box.discovery.status import StatusSigns
from probes.black_box.discovery.text import BAR

LINES_NEEDED = 6
LINES_NEEDED_IN_DOUBT = 20
"""Where a number grows beside the loss and nothing says what it counts, such as tokens, or the
lines look like those of a status."""
FRACTIONS_NEEDED = 3
MOST_SHAPES = 50
MOVES_NEEDED = 3
"""Equal moves after which a number grows."""
MOST_NUMBERS = 400
_WORD = re.compile(r"[A-Za-z]+[:,]?")

EPOCH_VALUE = re.compile(r"\bepoch[\"']?\s*[:=]\s*[\"']?(\d+(?:\.\d+)?)(?![\d/])", re.IGNORECASE)
FRACTION_PATTERN = (
    r"\bloss\W{0,6}(?P<loss>[-+.\w]+).*\bepoch[\"']?\s*[:=]\s*[\"']?(?P<epoch>\d+(?:\.\d+)?)"
)


class UncountedLines:
    """Follows lines of equal shape. ``shape`` is set once one of them came often enough."""

    def __init__(self) -> None:
        self.shape: str | None = None
        self.count = 0
        """Steps that were found so far."""
        self.is_in_doubt = False
        """Whether there may be several steps between two of the lines that were read last."""
        self._signs: dict[str, StatusSigns] = {}
        self._times: dict[str, list[tuple[float, float]]] = {}

    def add(
        self,
        line: OutputLine,
        at_s: float,
        loss: float,
        *,
        is_free: bool,
        is_in_doubt: bool = False,
    ) -> list[tuple[float, float]]:
        """Times (s) and losses of the steps that this line tells of; with the line that decides
        also those before it.

        ``is_free``: no number in the output counts steps, so that the lines may be counted.
        ``is_in_doubt``: something else tells that steps may lie between them.
        """
        shape = "".join(NUMBER.sub("#", line.text).split())
        if self.shape is not None:
            self.count += shape == self.shape
            return [(at_s, loss)] if shape == self.shape else []
        if line.is_row or "epoch" in shape.lower() or BAR in shape:
            return []
        if shape not in self._times and self._is_full:
            return []
        seen = self._times.setdefault(shape, [])
        seen.append((at_s, loss))
        signs = self._signs.setdefault(shape, StatusSigns())
        signs.read(line.text, loss)
        self.is_in_doubt = is_in_doubt or signs.are_seen
        lines_needed = LINES_NEEDED_IN_DOUBT if self.is_in_doubt else LINES_NEEDED
        if not is_free or len(seen) < lines_needed:
            del seen[:-lines_needed]
            return []
        self.shape = shape
        self.count = len(seen)
        return seen

    def counts_like(self, moved: int, since: int) -> bool:
        """Whether its lines are the steps of a counter that has moved so far since this many lines
        were found. They come with every step; a progress bar may be drawn every ten seconds."""
        return self.shape is not None and moved > 0 and abs(self.count - since - moved) <= 1

    @property
    def _is_full(self) -> bool:
        return len(self._times) >= MOST_SHAPES


class EpochFractions:
    """Follows lines with a loss that tell how much of an epoch has passed: ``'epoch': 0.25``. With
    the steps of an epoch known, they tell steps."""

    def __init__(self) -> None:
        self.is_taken = False
        self._waiting: list[tuple[float, int, float]] = []

    def add(
        self, raw: str, at_s: float, loss: float, epoch_steps: int
    ) -> list[tuple[float, int, float]]:
        """Times (s), numbers and losses of the steps that this line tells of; with the line that
        decides also those before it."""
        match = EPOCH_VALUE.search(raw)
        if match is None:
            return []
        step = (at_s, round(float(match[1]) * epoch_steps), loss)
        if self.is_taken:
            return [step]
        if self._waiting and step[1] <= self._waiting[-1][1]:
            self._waiting.clear()
        self._waiting.append(step)
        self.is_taken = len(self._waiting) >= FRACTIONS_NEEDED
        return self._waiting if self.is_taken else []

    @property
    def stride(self) -> int:
        """Steps from one line to the next, by the lines that decided."""
        return (self._waiting[-1][1] - self._waiting[0][1]) // (len(self._waiting) - 1)


class UnnamedNumbers:
    """Follows numbers whose words do not say steps (``run [50]:``). Where one grows, lines with a
    loss may come less often than steps."""

    def __init__(self) -> None:
        self._growths: dict[tuple[str, str, int | None], CounterGrowth] = {}

    def add(self, key: tuple[str, str, int | None], slot: Slot) -> None:
        if not slot.unit and (key in self._growths or len(self._growths) < MOST_NUMBERS):
            self._growths.setdefault(key, CounterGrowth(slot.total)).add(slot.value)

    def grow(self, besides: Collection[str] = ()) -> bool:
        """Whether one of them grows, those aside that have one of these prefixes."""
        return any(
            growth.ups >= MOVES_NEEDED and growth.is_even and growth.is_monotone
            for (_, prefix, _), growth in self._growths.items()
            if prefix not in besides
        )


def pattern_of(text: str) -> str:
    """A regular expression for ``--step`` that takes each such line for one step. It begins with
    the words before the loss, which tell ``training loss`` from ``validation loss``."""
    found = loss_in(text)
    name = re.escape(found.name) if found else "loss"
    if found and found.is_behind:
        return rf"(?P<loss>[-+.\w]+)\s{name}\b"
    match = re.search(rf"(?<!\w){name}\W{{0,6}}{VALUE}", text, re.IGNORECASE)
    before = text[: match.start()] if match else "|"
    words = [*takewhile(_WORD.fullmatch, reversed(before.split()))][::-1]
    begin = r"^\s*" if len(words) == len(before.split()) else r"\b"
    gap = r"\s+" if words and before[-1:].isspace() else ""
    lead = r"\s+".join(map(re.escape, words)) + gap
    return rf"{begin}{lead}{name}\W{{0,6}}(?P<loss>[-+.\w]+)"
