"""What a training process takes on a device before it trains, as a worker there measured it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Footprint:
    """Made by ``probes.worker.footprint``."""

    limit_bytes: int
    """The memory budget, or the device's size."""
    overhead_bytes: int
    """On a GPU: the context, and what other processes have."""
    start_bytes: int
    """On the CPU: what torch maps to start, files aside."""
    total_bytes: int
    torch: str
    python: str
    uuid: Any = None
    """The device's hashed UUID, to find it with NVML."""

    @property
    def torch_version(self) -> tuple[int, int]:
        """Major and minor; zeros where they cannot be read."""
        major, minor = [*self.torch.split(".")[:2], "0", "0"][:2]
        return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
