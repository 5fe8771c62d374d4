"""Tells what was done since the last line from what was done in all: ``updates: 19, total: 36``."""

from __future__ import annotations

from collections.abc import Collection, Hashable

TELLING_AMOUNT = 10
"""An amount from which on one line is enough, where both numbers began with the same value."""
MOST_NUMBERS = 400


class Amounts:
    """Give it the numbers of each line by where they stand. One by which another number of the line
    rises, now by this and now by that, is an amount, and the other one is its sum."""

    def __init__(self) -> None:
        self.amounts: set[Hashable] = set()
        self.sums: set[Hashable] = set()
        self._last: dict[Hashable, int] = {}
        self._fitted: dict[Hashable, int] = {}
        """The first value by which another number had risen."""
        self._refuted: set[Hashable] = set()

    def read(self, numbers: Collection[tuple[Hashable, int]]) -> None:
        before = {key: self._last[key] for key, _ in numbers if key in self._last}
        rises = {
            value - before[key]: (key, before[key]) for key, value in numbers if before.get(key)
        }
        for key, value in numbers:
            if before.get(key) and key not in self._refuted:
                self._compare(key, value, before[key], rises.get(value))
            if key in self._last or len(self._last) < MOST_NUMBERS:
                self._last[key] = value

    def _compare(
        self, key: Hashable, value: int, last: int, risen: tuple[Hashable, int] | None
    ) -> None:
        if value <= 0 or risen is None or risen[0] == key:
            if value != last:
                self._refuted.add(key)
                self.amounts.discard(key)
            return
        began_together = risen[1] == last and value >= TELLING_AMOUNT
        if self._fitted.setdefault(key, value) != value or began_together:
            self.amounts.add(key)
            self.sums.add(risen[0])
