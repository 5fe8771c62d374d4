"""How fast ranks on several hosts exchange data: the figures, in words and rounded.

Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from probes.formatting import size_text


@dataclass(frozen=True)
class Network:
    """A timed all-reduce between all ranks of a gang, through the library that trains."""

    hosts: int
    ranks: int
    library: str
    """``gloo``, ``nccl``, …"""
    bandwidth_bytes_per_s: float
    """What each rank sends and receives per second in an all-reduce of ``size_bytes``: its size
    times 2 (ranks - 1) / ranks over its time, which is the "bus bandwidth" of nccl-tests."""
    latency_s: float
    """Median time of an all-reduce of four bytes."""
    size_bytes: int

    @classmethod
    def of(
        cls,
        *,
        hosts: int,
        ranks: int,
        library: str,
        size_bytes: int,
        large_s: float,
        small_s: float,
    ) -> Network:
        """From the median times of a large and of a small all-reduce. Seconds."""
        moved = size_bytes * 2 * (ranks - 1) / ranks
        return cls(hosts, ranks, library, moved / large_s, small_s, size_bytes)

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"{self.ranks} ranks on {self.hosts} nodes: an all-reduce through {self.library} moves "
            f"{size_text(self.bandwidth_bytes_per_s)}/s, and takes at least "
            f"{self.latency_s * 1e6:.3g} µs."
        )

    @property
    def rounded(self) -> dict[str, Any]:
        """For a fingerprint's environment. One digit: figures of the same network differ by more
        than that between two days only if something has changed."""
        return {
            "network_gib_per_s": _one_digit(self.bandwidth_bytes_per_s / 2**30),
            "network_latency_us": _one_digit(self.latency_s * 1e6),
        }

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _one_digit(value: float) -> float:
    if value <= 0:
        return 0.0
    return round(value, -math.floor(math.log10(value)))
