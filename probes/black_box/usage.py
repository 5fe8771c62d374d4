"""Memory of one rank of a command, as it is seen from outside. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Usage:
    """Bytes. A command on a single device has one rank."""

    held_bytes: int = 0
    """In use at the last look."""
    peak_bytes: int = 0
    """The high-water mark since the start."""
    high_bytes: int | None = None
    """The most resident memory between the last two looks, files aside; ``None`` where the system
    does not keep it."""
    swap_bytes: int = 0
    """The most that was in swap."""

    def see(
        self, held_bytes: int, peak_bytes: int, high_bytes: int | None, swap_bytes: int
    ) -> None:
        """Take in what the processes of the rank have now."""
        self.held_bytes, self.high_bytes = held_bytes, high_bytes
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        self.swap_bytes = max(self.swap_bytes, swap_bytes)
