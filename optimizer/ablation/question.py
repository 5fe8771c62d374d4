"""What an ablation is asked: the claim of a page, on one workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from probes import levers
from probes.measurement import Config
from probes.space import Space

BATCH_SIZE = "batch_size"
"""A claim may change the batch size itself, as if it were a lever."""
MERGE = "merge"
"""So may it merge adapters into the weights that they lie around, from ``false`` to ``true``. That
is done after training, so it is no part of a config."""


class Quantity(StrEnum):
    """What is compared."""

    PEAK_MEMORY = "peak_memory"
    """Highest memory in use while training, in bytes."""
    ACTIVATION_MEMORY = "activation_memory"
    """Peak memory less what is held between steps, in bytes."""
    HELD_MEMORY = "held_memory"
    """Held between steps, in bytes: weights, optimizer state, and what else outlives a step."""
    STEP_TIME = "step_time"
    """Mean of one optimizer step, in seconds."""
    THROUGHPUT = "throughput"
    """Samples per second; tokens per second where a sample is another one before and after."""
    MAX_BATCH = "max_batch"
    """Largest stable batch within the memory budget, in samples."""
    LOSS = "loss"
    """On the batches that come next, after a short training from the same start and data."""
    OUTPUT_ERROR = "output_error"
    """Relative difference of what a model computes. This is a difference already: a claim is about
    its size, not about a change of it."""

    @property
    def is_memory(self) -> bool:
        return self in (Quantity.PEAK_MEMORY, Quantity.ACTIVATION_MEMORY, Quantity.HELD_MEMORY)

    @property
    def is_time(self) -> bool:
        return self in (Quantity.STEP_TIME, Quantity.THROUGHPUT)


class At(StrEnum):
    """At which batch sizes the two sides are compared."""

    SAME_BATCH = "same_batch"
    EACH_MAXIMUM = "each_maximum"


@dataclass(frozen=True)
class Question:
    """Does changing these levers change this quantity by what the claim says, on this workload?

    The bounds are relative changes: ``low=-0.6, high=-0.5`` for 50 to 60 % less; ``None`` where
    the claim has no bound on that side.
    """

    claim: str
    """Full id, like ``Heuristic:Gradient_Checkpointing#activation-memory``."""
    page: str
    """Full name of the page."""
    text: str
    """The claim in words."""
    before: Mapping[str, Any]
    """Values of the levers before the change: names of levers, or of dimensions or options of the
    workload, or ``batch_size``."""
    after: Mapping[str, Any]
    quantity: Quantity
    low: float | None
    high: float | None
    workload: str
    """Label of the workload, as results are kept under."""
    at: At = At.SAME_BATCH
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the workload, the same on both sides."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further values of the config, the same on both sides."""
    batch_size: int | None = None
    """At which both sides are compared; ``None`` to choose one that the device carries easily."""
    devices: tuple[str, ...] = ()
    """Kinds of device that the claim is made of; empty for all."""

    @property
    def lever(self) -> str:
        """Names of what changes, joined by ``+``."""
        return "+".join(self.after)

    @property
    def experiment(self) -> str:
        """Questions with equal experiments are answered by the same probes."""
        parts = (self.workload, self.at, self.batch_size, *map(_text, self._mappings))
        return "|".join(map(str, parts))

    @property
    def _mappings(self) -> tuple[Mapping[str, Any], ...]:
        return self.before, self.after, self.options, self.config


@dataclass(frozen=True)
class Arm:
    """One of the two sides: the workload with the levers before, or after, the change."""

    name: str
    """``before`` or ``after``."""
    options: Mapping[str, Any]
    """Of the workload."""
    config: Config
    """The values that are set; every other dimension takes its smallest value."""
    batch_size: int | None = None
    """Where the batch size is what changes."""


def arms(question: Question, space: Space) -> tuple[Arm, Arm]:
    """Both sides. A name that is neither a lever nor in ``space`` (that of the workload) is taken
    for an option of the workload, which refuses those that it does not have."""
    return (
        _arm("before", question, question.before, space),
        _arm("after", question, question.after, space),
    )


def _arm(name: str, question: Question, changes: Mapping[str, Any], space: Space) -> Arm:
    options, config = dict(question.options), dict(question.config)
    batch_size: int | None = None
    for lever, value in changes.items():
        if lever == BATCH_SIZE:
            batch_size = int(value)
        elif lever == MERGE:
            continue
        elif lever in space or lever in levers.LEVERS:
            config[lever] = value
        else:
            options[lever] = value
    return Arm(name, options, config, batch_size)


def _text(mapping: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value!r}" for name, value in sorted(mapping.items()))
