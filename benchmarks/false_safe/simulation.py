"""A training whose memory is scripted, step by step, on a device of a given size.

The quantities are those of a device with a caching allocator, the harder case: ``held`` is what
tensors occupy between steps, ``peak`` is what the allocator ever reserved, and a reservation that
does not fit ends the process. (The real allocator flushes its cache first and often survives; a
recommendation that needs that is counted as failed.)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MIB = 2**20


class OutOfMemoryError(Exception):
    """A reservation that does not fit. ``requested_bytes`` is the one that failed."""

    def __init__(self, requested_bytes: int) -> None:
        super().__init__(f"tried to allocate {requested_bytes / MIB:.1f} MiB")
        self.requested_bytes = requested_bytes


@dataclass(frozen=True)
class Creep:
    """Fragmentation: reserved memory grows beyond what tensors need, and saturates."""

    share: float
    """Of the activations, in the end."""
    steps: float
    """After so many steps 63 % of it is there."""


@dataclass(frozen=True)
class Burst:
    """Something that needs memory now and then: a metric, a workspace, a sampled output."""

    share: float
    """Of the limit."""
    first_step: int
    """Counted from 1."""
    every: int | None = None
    """Repeats after so many steps; ``None`` for a burst that happens once."""

    def happens(self, step: int) -> bool:
        since = step - self.first_step
        return since == 0 or (since > 0 and self.every is not None and since % self.every == 0)


@dataclass(frozen=True)
class Leak:
    """Memory that stays, a lump every few steps."""

    bytes_per_step: float
    every: int = 1

    def bytes_after(self, step: int) -> float:
        return self.bytes_per_step * self.every * (step // self.every)


@dataclass(frozen=True)
class Cycle:
    """Garbage that piles up evenly between steps until it is collected."""

    share: float
    """Of the limit, just before it is collected."""
    steps: int
    """From one collection to the next."""


@dataclass(frozen=True)
class Tenant:
    """Another process on the device, that comes and goes with the steps of this one.

    What this process does not need between steps the other may take: so it is on a CPU, and with
    allocators that give memory back.
    """

    share: float
    """Of the limit, while it is there."""
    period_steps: int = 1
    duty: float = 1.0
    """The fraction of each period in which it is there."""
    during_search: bool = True
    """Whether it is there before the user's own run."""


@dataclass(frozen=True)
class Outside:
    """How a training is seen that is a command: by its lines, and by looks at its memory."""

    line_steps: int = 1
    """Steps per line of output."""
    look_s: float = 0.05
    """Time between two looks; up to twice as much, at random."""
    evaluates_every: int | None = None
    """Steps between two evaluations, with a checkpoint after each. The first comes before the
    first step."""
    evaluation_steps: float = 4.0
    """Duration of an evaluation, in steps."""
    exact: bool = True
    """Whether the kernel keeps a high-water mark that can be reset."""


@dataclass(frozen=True)
class Training:
    """What decides the memory of one workload and config on one device."""

    limit_bytes: int
    static_bytes: float
    """Parameters, gradients and optimizer state."""
    activations: Callable[[int], float]
    """Bytes on top for a training step on the worst-case batch; grows with the batch."""
    quirk: Callable[[int], float] = lambda batch_size: 1.0
    """Factor of at least 1 on the activations of this batch size: the library's choice of
    algorithm, which need not be monotone."""
    ordinary: float = 1.0
    """Ordinary batches need between this share of the worst case and all of it."""
    evaluation: float = 0.4
    """Activations of the validation phase, relative to training."""
    run_noise: float = 0.0
    """Standard deviation of a factor on the peak that is drawn once per process."""
    step_noise: float = 0.0
    """Standard deviation of a factor on the activations that is drawn each step."""
    held_noise: float = 0.0
    """Standard deviation of what is held between steps, relative to the limit."""
    held_serial: float = 0.0
    """Correlation of that noise from one step to the next."""
    held_cycle: Cycle | None = None
    reshuffle: float = 0.0
    """Chance that a process takes a different algorithm, which needs ``reshuffle_factor``."""
    reshuffle_factor: float = 1.0
    creep: Creep | None = None
    burst: Burst | None = None
    leak: Leak | None = None
    tenant: Tenant | None = None
    outlier: float = 1.0
    """A factor on the activations of a rare batch that the workload did not put first."""
    outlier_chance: float = 0.0
    step_s: Callable[[int], float] = lambda batch_size: 0.01 + 0.0002 * batch_size
    outside: Outside | None = None
    """``None`` for a workload, of which everything is known at the end of each step."""

    def needed_bytes(self, batch_size: int) -> float:
        """What a settled run needs, without noise and leak: defines the true edge."""
        activations = self.activations(batch_size) * self.quirk(batch_size)
        settled = activations * (1 + (self.creep.share if self.creep else 0.0))
        with_burst = settled + (self.burst.share * self.limit_bytes if self.burst else 0.0)
        foreign = self.tenant.share * self.limit_bytes if self.tenant else 0.0
        return self.static_bytes + foreign + max(with_burst, activations * self.evaluation)


class Process:
    """One fresh process training at one batch size. Every method raises ``OutOfMemoryError``."""

    def __init__(
        self,
        training: Training,
        batch_size: int,
        *,
        seed: str,
        headroom: float = 0.0,
        is_search: bool = False,
    ) -> None:
        self.training = training
        self.batch_size = batch_size
        self.random = random.Random(seed)
        self.steps = 0
        self.held_bytes = 0
        self.top_bytes = 0
        """The most that the last step, evaluation or checkpoint had in use."""
        self.peak_bytes = 0
        """What is reported: the most ever reserved, other tenants' memory included."""
        draw = self.random
        self._own_peak = 0.0
        self._noise = draw.gauss(0.0, 1.0)
        self._cycle_offset = draw.random()
        self._factor = max(0.9, draw.gauss(1.0, training.run_noise))
        self._activations = training.activations(batch_size) * training.quirk(batch_size)
        if draw.random() < training.reshuffle:
            self._activations *= training.reshuffle_factor
        self._tenant_offset = draw.random()
        tenant = training.tenant
        self._tenant = tenant if tenant and (tenant.during_search or not is_search) else None
        self.cap_bytes = int(training.limit_bytes * (1 - headroom))
        self.foreign_bytes = self._foreign_now()
        """The most that others were ever seen to have on the device."""
        self._allocator_cap = self.cap_bytes - self.foreign_bytes
        """What is enforced: what others have when the cap is applied is taken off it."""

    def build(self) -> None:
        self._reserve(self.training.static_bytes * 0.5)  # optimizer state comes with the steps
        self._held(self.training.static_bytes * 0.5)

    def step(self, *, worst_case: bool) -> float:
        """One optimizer step; returns its duration in seconds."""
        training = self.training
        self.steps += 1
        need = self._activations * (
            1.0 if worst_case else self.random.uniform(training.ordinary, 1.0)
        )
        if not worst_case and self.random.random() < training.outlier_chance:
            need = self._activations * training.outlier
        need *= 1 + abs(self.random.gauss(0.0, training.step_noise))
        if training.creep is not None:
            need += (
                self._activations
                * training.creep.share
                * (1 - math.exp(-self.steps / training.creep.steps))
            )
        if training.burst is not None and training.burst.happens(self.steps):
            need += training.burst.share * training.limit_bytes
        self._reserve(self._static() + need)
        self._held(self._static())
        return training.step_s(self.batch_size) * self.random.lognormvariate(0.0, 0.01)

    def evaluate(self) -> None:
        self._reserve(self._static() + self._activations * self.training.evaluation)

    def checkpoint(self) -> None:
        """Parameters are written from where they are: a little on top of what is held."""
        self._reserve(self._static() * 1.01)

    def _static(self) -> float:
        leak = self.training.leak
        return self.training.static_bytes + (leak.bytes_after(self.steps) if leak else 0.0)

    def _held(self, held: float) -> None:
        training, serial = self.training, self.training.held_serial
        self._noise = serial * self._noise + self.random.gauss(0.0, math.sqrt(1 - serial**2))
        # Seldom more than 3 below its mean: no less is held than what is needed.
        own = max(0.0, 3 + self._noise) if serial else abs(self._noise)
        held += own * training.held_noise * training.limit_bytes
        if (cycle := training.held_cycle) is not None:
            position = (self.steps / cycle.steps + self._cycle_offset) % 1.0
            held += position * cycle.share * training.limit_bytes
        self.held_bytes = int(held)

    def _reserve(self, need: float) -> None:
        need *= self._factor
        foreign = self._foreign_now()
        room = min(self._allocator_cap, self.training.limit_bytes - foreign)
        if need > room:
            # It fails part of the way: what is in use then and what is asked for exceed the room.
            in_use = room * self.random.uniform(0.6, 1.0)
            self._own_peak = max(self._own_peak, in_use)
            self._report(foreign)
            piece = (need - in_use) * self.random.uniform(0.3, 1.0)
            raise OutOfMemoryError(int(max(piece, room - in_use + 2)))
        self._own_peak = max(self._own_peak, need)
        self.top_bytes = int(need + foreign)
        self._report(foreign)

    def _report(self, foreign: float) -> None:
        """The overhead outside the allocator is the largest that was ever seen."""
        self.foreign_bytes = max(self.foreign_bytes, int(foreign))
        self.peak_bytes = int(self._own_peak) + self.foreign_bytes

    def _foreign_now(self) -> int:
        tenant = self._tenant
        if tenant is None:
            return 0
        position = (self.steps / tenant.period_steps + self._tenant_offset) % 1.0
        return int(tenant.share * self.training.limit_bytes) if position < tenant.duty else 0
