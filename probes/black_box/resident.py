"""Memory of a command's processes where the system enforces nothing: resident, and sampled."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from probes.black_box.usage import Usage


class ResidentTree:
    """The processes of a command on a CPU that is not Linux's. ``owners`` gives every living one
    with its rank, of ``size`` ranks."""

    def __init__(self, owners: Callable[[], dict[int, int]], size: int = 1) -> None:
        self.usages = [Usage() for _ in range(size)]
        self.notes: list[str] = []
        self._read_owners = owners
        self._owners: dict[int, int] = {}

    def find(self) -> None:
        self._owners = self._read_owners()

    def enforce(self) -> None:
        """Nothing can."""

    def relax(self) -> None:
        """Nothing was enforced."""

    def look(self) -> None:
        held = [0] * len(self.usages)
        for pid, rank in self._owners.items():
            try:
                if rank < len(held):
                    held[rank] += int(psutil.Process(pid).memory_info().rss)
            except psutil.Error:
                continue
        for usage, bytes_ in zip(self.usages, held, strict=True):
            usage.see(bytes_, bytes_, None, 0)
