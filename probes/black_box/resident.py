"""Memory of a command's process tree where the system enforces nothing: resident, and sampled."""

from __future__ import annotations

from collections.abc import Callable

import psutil


class ResidentTree:
    """The processes of a family on a CPU that is not Linux's."""

    def __init__(self, family: Callable[[], set[int]]) -> None:
        self.peak_bytes = 0
        self.high_bytes: int | None = None
        self.swap_bytes = 0
        self.notes: list[str] = []
        self._family = family
        self._pids: set[int] = set()

    def find(self) -> None:
        self._pids = self._family()

    def enforce(self) -> None:
        """Nothing can."""

    def relax(self) -> None:
        """Nothing was enforced."""

    def held_bytes(self) -> int:
        held = 0
        for pid in self._pids:
            try:
                held += int(psutil.Process(pid).memory_info().rss)
            except psutil.Error:
                continue
        self.peak_bytes = max(self.peak_bytes, held)
        return held
