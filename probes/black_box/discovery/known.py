"""A short cut for lines of a kind that has been read often: which digits are the step's number."""

from __future__ import annotations

import re

SETTLED_LINES = 64
"""Lines of the chosen kind after which the short cut is taken."""
MOST_SKELETONS = 256
NOTHING = -1
"""Stands for lines that tell of no step and no loss."""

_RUNS = re.compile(r"\d+")
_DELETED = {ord(c): None for c in "0123456789█▉▊▋▌▍▎▏░▒▓━╸╺─"}


class KnownLines:
    """Remembers, for lines that differ in digits only, where the number stands."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def skeleton(self, raw: str) -> str:
        """A line without digits and without the drawn part of bars."""
        return raw.translate(_DELETED)

    def place(self, skeleton: str) -> int | None:
        """Which group of digits is the number; ``NOTHING``; ``None`` for an unknown kind."""
        return self._places.get(skeleton)

    def number(self, raw: str, place: int, total: int | None) -> int | None:
        """The number in a line; ``None`` where another total says that it is another bar."""
        groups = _RUNS.findall(raw)
        if place >= len(groups) or len(groups[place]) > 15:
            return None
        if total is not None and groups[place + 1 : place + 2] != [str(total)]:
            return None
        return int(groups[place])

    def learn(self, skeleton: str, raw: str, value: int | None) -> None:
        """Remember where the number stands, unless several groups of digits could be it."""
        if len(self._places) >= MOST_SKELETONS:
            self._places.clear()
        if value is None:
            self._places[skeleton] = NOTHING
            return
        found = [i for i, group in enumerate(_RUNS.findall(raw)) if int(group[:18]) == value]
        if len(found) == 1:
            self._places[skeleton] = found[0]
