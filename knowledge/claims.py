"""What a page claims, in a form that can be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Quantity(StrEnum):
    """What a claim is about. All but the last two are measured by probes."""

    PEAK_MEMORY = "peak_memory"
    """Highest memory in use, in bytes."""
    ACTIVATION_MEMORY = "activation_memory"
    """Peak memory less what is held between steps, in bytes."""
    HELD_MEMORY = "held_memory"
    """Held between steps, in bytes: weights, optimizer state, and what else outlives a step."""
    STEP_TIME = "step_time"
    """Of one optimizer step, in seconds."""
    THROUGHPUT = "throughput"
    """Samples per second."""
    MAX_BATCH = "max_batch"
    """Largest stable batch, in samples."""
    LOSS = "loss"
    """After a short training, from the same start and data."""
    OUTPUT_ERROR = "output_error"
    """Relative difference of what a model computes."""


class At(StrEnum):
    """At which batch sizes the two sides are compared."""

    SAME_BATCH = "same_batch"
    EACH_MAXIMUM = "each_maximum"


@dataclass(frozen=True)
class Claim:
    """A change of one setting, and what it is said to do to one quantity.

    In a page it is a comment that wikis do not show: ``<!-- tonnage:claim`` and a line break, then
    TOML with these fields (``from`` and ``to`` for ``before`` and ``after``), then ``-->``.
    """

    page: str
    """Full name of the page, like ``Heuristic:Gradient_Checkpointing``."""
    id: str
    """Unique within the page, like ``activation-memory``."""
    text: str
    """The claim in words, as its source makes it."""
    lever: str
    """Name of a lever, or of a dimension or option of the workload. Several names joined by ``+``
    change together; ``before`` and ``after`` then list a value for each, in the same order."""
    before: Any
    after: Any
    quantity: Quantity
    low: float | None
    """Smallest relative change that the claim allows, like ``-0.6`` for 60 % less; ``None`` where
    it has no bound on this side. An ``OUTPUT_ERROR`` is the difference itself."""
    high: float | None
    at: At = At.SAME_BATCH
    workload: str | None = None
    """Specification of the workload that it is measured on by default; ``None`` for the default of
    the product."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further values of the config, the same on both sides."""
    devices: tuple[str, ...] = ()
    """Kinds of device that it is said of; empty for all."""
    source: str = ""
    """URL."""
    line: int = 0

    @property
    def changes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is set before and after: names of levers with their values.

        Raises ``ValueError`` where several levers do not have a value each.
        """
        names = self.lever.split("+")
        if len(names) == 1:
            return {self.lever: self.before}, {self.lever: self.after}
        before, after = self.before, self.after
        if not (isinstance(before, (list, tuple)) and isinstance(after, (list, tuple))):
            raise ValueError(f"{self.full_id}: give from and to as lists, one value per lever.")
        return (
            dict(zip(names, before, strict=True)),
            dict(zip(names, after, strict=True)),
        )

    @property
    def full_id(self) -> str:
        """Like ``Heuristic:Gradient_Checkpointing#activation-memory``."""
        return f"{self.page}#{self.id}"
