"""What a check is asked: a planned run and its device, before missing values are filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.machine.local_facts import DeviceNow


@dataclass(frozen=True)
class CheckRequest:
    """A planned run. ``None`` for values that it leaves out."""

    batch_size: int
    workload: str | None = None
    """Its label; ``None`` where ``recommendation_id`` determines it."""
    config: dict[str, Any] = field(default_factory=dict)
    offered: dict[str, Any] = field(default_factory=dict)
    """Other values of the file that the plan comes from, by name: those that are dimensions of the
    workload belong to the config."""
    accumulation: int | None = None
    workload_hash: str | None = None
    """Hash of its source and options as they are now; ``None``: not compared."""
    space: dict[str, Any] | None = None
    """Its dimensions as plain data, where they are known here."""
    recommendation_id: str | None = None
    """What the plan says it was made from."""
    budget: str | None = None
    time_scale: float | None = None
    memory_budget_bytes: int | None = None
    headroom: float | None = None
    here: DeviceNow | None = None
    """The device of this machine; ``None``: it is named by ``device``."""
    ranks: int | None = None
    """Number of devices that the plan says it trains on as one; ``None`` where it says nothing."""
    device: str | None = None
    """A fingerprint's key or a product's name, of a device that has results."""
    source: str = ""
    """The file that the plan was read from; empty for the command line."""
    notes: list[str] = field(default_factory=list)
    """How it was interpreted, for ``--explain``."""
