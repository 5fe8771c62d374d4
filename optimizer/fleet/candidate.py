"""One way to train: a config at a batch size on a device class, measured there or transferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optimizer.fleet.amount import Amount, Known, Unknown
from optimizer.scope import short_hash

NO_ENERGY = Unknown("Energy was not measured there.")


@dataclass(frozen=True)
class FleetClass:
    """Devices for which one measurement counts for all: one make, size and amount of memory."""

    id: str
    name: str
    cap_bytes: int
    """Memory that training may use, headroom taken off."""
    ranks: int = 1
    """Number of devices that train as one."""


@dataclass(frozen=True)
class Work:
    """What is run, apart from the device and the batch size."""

    workload: str
    config: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        """Equal for the same workload and config."""
        return short_hash([self.workload, dict(self.config)])

    @cached_property
    def kind(self) -> frozenset[tuple[str, str]]:
        """Its dimensions that are not numbers, such as the precision, with their values."""
        return frozenset(
            (name, str(value))
            for name, value in self.config.items()
            if isinstance(value, (str, bool))
        )


@dataclass(frozen=True)
class Reading:
    """What one passing run on a device class showed. Also what a transfer starts from."""

    class_id: str
    work: Work
    batch_size: int
    """Samples of one micro-batch, on one rank."""
    step_s: Amount
    peak_bytes: int
    is_confirmed: bool
    """Whether it passed the full stability run. Only such a run is ever recommended."""
    accumulation: int = 1
    ranks: int = 1
    """Number of devices that trained as one."""
    samples_per_step: int = 0
    """Of all ranks, per optimizer step; 0 stands for ``batch_size * accumulation``."""
    parameters: int | None = None
    energy_j: Known = NO_ENERGY
    """Of the device, per step."""
    host_energy_j: Amount | None = None
    """Measured of the host around the device, per step; zero where ``energy_j`` covers the host."""
    measurement_id: int | None = None
    notes: tuple[str, ...] = ()
    """What is doubtful about it."""

    @property
    def samples(self) -> int:
        """Samples per optimizer step."""
        return self.samples_per_step or self.batch_size * self.accumulation

    @property
    def place(self) -> tuple[str, int, int]:
        """What is run: equal for runs of the same work at the same batch."""
        return (self.work.key, self.batch_size, self.accumulation)


@dataclass(frozen=True)
class Candidate:
    """A reading to choose from: measured on its class, or a prior."""

    reading: Reading
    """On the class it is for; a prior's numbers have the band of the transfer."""
    is_measured: bool
    """Confirmed as stable on this very class. Everything else is a prior."""
    is_smaller: bool = False
    """Whether its model has fewer parameters than what is recommended for the class."""
    source: str = ""
    """Where a prior comes from, in words."""

    @property
    def class_id(self) -> str:
        return self.reading.class_id
