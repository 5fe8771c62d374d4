"""The steps of one rank, in an output in which several ranks print. Pure; standard library only.

A number that every rank prints is counted once by what follows the numbers (``discovery.counter``).
Here are the other two cases: lines that name their rank, and lines without a number.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import replace

from probes.black_box.steps import Seen

_RANK = re.compile(
    r"^\W*(?:rank|default|gpu|cuda|device|worker|process|proc|node)[ _:=#]{0,2}(\d{1,4})\b"
    r"|\[rank[ _:=]?(\d+)\]",
    re.IGNORECASE,
)
_MARK = re.compile(r"\[(rank|default|gpu|cuda|worker)[ _:=]?\d{1,4}\]", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:e[-+]?\d+)?|\b(?:nan|inf)\b", re.IGNORECASE)
LOOKED_AT = 200
"""Characters of a line in which its rank stands."""
MOST_FORMS = 1000
LEAST_LINES = 6
"""Lines that are looked at before it is decided whether one rank prints them or all do."""
CLEARLY_LONGER = 3
"""From one step to the next it takes this multiple of the time between the lines of two ranks."""


def separate(line: str) -> list[str]:
    """The lines of several ranks that arrived as one: an unbuffered program writes the end of a
    line by itself, so that ``[RANK0] Iter 5[RANK1] Iter 5`` may stand before both ends."""
    first = _MARK.match(line.lstrip())
    if first is None:
        return [line]
    word = first[1].lower()
    starts = [match.start() for match in _MARK.finditer(line) if match[1].lower() == word]
    return [line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True)]


class RankLines:
    """Leaves out what a second rank says in the same words: ``[rank1]: step 5 loss 0.3``."""

    def __init__(self) -> None:
        self._speakers: dict[str, str] = {}
        """The rank whose lines of this form count: the first one that printed such a line."""

    def counts(self, line: str) -> bool:
        match = _RANK.search(line[:LOOKED_AT])
        if match is None:
            return True
        rest = line[: match.start()] + line[match.end() :]
        form = _NUMBER.sub("#", rest)
        if form not in self._speakers and len(self._speakers) >= MOST_FORMS:
            return True
        rank = match[1] or match[2]
        return self._speakers.setdefault(form, rank) == rank


class UnnumberedSteps:
    """Lines such as ``tonnage step`` of ``ranks`` ranks: all of them print one with each step, or
    rank 0 alone does.

    Where all print, their lines come together, since no rank can begin the next step before the
    others have ended theirs, and there is a pause after each such group. Until that is decided no
    step is returned.
    """

    def __init__(self, ranks: int) -> None:
        self._ranks = ranks
        self._waiting: list[Seen] = []
        self._count = 0
        self._has_evaluated = False
        self.lines_per_step = 0
        """0 until it is decided."""

    def of_one(self, seen: list[Seen]) -> list[Seen]:
        """The steps that these lines tell of. Lines with a number pass."""
        if self._ranks == 1:
            return seen
        found = []
        for sign in seen:
            if sign.number is not None:
                found.append(sign)
            elif self.lines_per_step:
                found += self._next(sign)
            else:
                self._waiting.append(sign)
                if len(self._waiting) >= max(LEAST_LINES, self._ranks + 2):
                    self.lines_per_step = self._ranks if self._do_all_print() else 1
                    for waiting in self._waiting:
                        found += self._next(waiting)
                    self._waiting = []
        return found

    def restart(self) -> None:
        """Other lines than before are taken for the steps."""
        self._waiting, self._count, self.lines_per_step = [], 0, 0

    def _next(self, sign: Seen) -> list[Seen]:
        """The step, with the line of the last rank that ends it."""
        self._count += 1
        self._has_evaluated = self._has_evaluated or sign.evaluated
        if self._count % self.lines_per_step:
            return []
        evaluated, self._has_evaluated = self._has_evaluated, False
        return [replace(sign, evaluated=evaluated)]

    def _do_all_print(self) -> bool:
        times = [sign.at_s for sign in self._waiting]
        gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        between = [gap for at, gap in enumerate(gaps, start=1) if at % self._ranks == 0]
        within = [gap for at, gap in enumerate(gaps, start=1) if at % self._ranks]
        pause_s = statistics.median(between)
        return pause_s > 0 and pause_s >= CLEARLY_LONGER * statistics.median(within)
