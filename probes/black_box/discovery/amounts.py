"""Tells what was done since the last line from what was done in all: ``updates: 19, total: 36``."""

from __future__ import annotations

from collections.abc import Collection

from probes.black_box.discovery.shape import Key

TELLING_AMOUNT = 10
"""An amount from which on one line is enough, where both numbers began with the same value."""
MOST_NUMBERS = 400


class Amounts:
    """Give it the numbers of each line by where they stand. One by which another number of the line
    rises, now by this and now by that, is an amount, and the other one is its sum."""

    def __init__(self) -> None:
        self.sums: dict[Key, Key] = {}
        """What each amount adds to, as far as nothing speaks against it."""
        self._last: dict[Key, int] = {}
        self._fitted: dict[Key, int] = {}
        """The first value by which another number had risen."""
        self._refuted: set[Key] = set()

    def read(self, numbers: Collection[tuple[Key, int]]) -> None:
        before = {key: self._last[key] for key, _ in numbers if key in self._last}
        rises = {
            value - before[key]: (key, before[key]) for key, value in numbers if before.get(key)
        }
        for key, value in numbers:
            if before.get(key) and key not in self._refuted:
                self._compare(key, value, before[key], rises.get(value))
            if key in self._last or len(self._last) < MOST_NUMBERS:
                self._last[key] = value

    def _compare(self, key: Key, value: int, last: int, risen: tuple[Key, int] | None) -> None:
        if value <= 0 or risen is None or risen[0] == key:
            if value != last:
                self._refuted.add(key)
                self.sums.pop(key, None)
            return
        began_together = risen[1] == last and value >= TELLING_AMOUNT
        if self._fitted.setdefault(key, value) != value or began_together:
            self.sums[key] = risen[0]
