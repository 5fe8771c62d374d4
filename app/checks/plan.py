"""A planned training run, the memory available for it, and the measurements to compare it with:
the plain data that ``decide`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from probes.formatting import first_line
from probes.space import Choice

FAILED_FOR_MEMORY = ("oom", "spill", "leak")
FAILED_WHATEVER_THE_MEMORY = ("shape_limit", "unsupported")


class CheckVerdict(StrEnum):
    """The answer to a check."""

    FITS = "fits"
    DOES_NOT_FIT = "does_not_fit"
    TOO_SLOW = "too_slow"
    UNKNOWN = "unknown"
    """No stored measurement shows whether the planned run fits."""
    STALE = "stale"
    """What it would be compared with is no longer valid."""


@dataclass(frozen=True)
class CycleWindow:
    """How long a cycle may take."""

    budget: str
    cycle_batches: int
    longest_cycle_s: float | None
    """``None``: no time limit."""
    time_scale: float = 1.0


@dataclass(frozen=True)
class RunPlan:
    """The planned training run."""

    workload: str
    config: dict[str, Any]
    batch_size: int
    accumulation: int = 1
    window: CycleWindow | None = None
    """``None``: only memory is checked."""
    ranks: int = 0
    """Number of devices that train as one; 0 for a single device. The batch is that of one."""
    settable: Mapping[str, Any] | None = None
    """Of a command: what it has placeholders for, by name a dimension, or ``None`` for any value.
    ``None``: a workload, which takes every lever."""

    def takes(self, name: str, value: Any) -> bool:
        """Whether a lever can be set to a value: a command must have a placeholder for it."""
        if self.settable is None:
            return True
        dimension = self.settable.get(name)
        if isinstance(dimension, Choice):
            return value in dimension.values()
        return name in self.settable

    @property
    def samples_per_step(self) -> int:
        return self.batch_size * self.accumulation


@dataclass(frozen=True)
class Room:
    """The memory that is available. Bytes."""

    limit_bytes: int
    headroom: float
    total_bytes: int | None = None
    """What the device has, where ``limit_bytes`` is less."""
    free_bytes: int | None = None
    """What is free on the device at this moment; ``None`` where that is not known."""

    @property
    def cap_bytes(self) -> int:
        return int(self.limit_bytes * (1 - self.headroom))


@dataclass(frozen=True)
class StepSeconds:
    """Mean duration of a step, with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class MeasuredRun:
    """One measurement of the plan's config, as far as a check needs it."""

    id: int
    batch_size: int
    accumulation: int
    confirmed: bool
    """Whether it was the full stability run, not a few steps."""
    verdict: str
    reason: str
    peak_bytes: int | None
    cap_bytes: int | None
    """Its memory limit."""
    limit_bytes: int | None = None
    static_bytes: int | None = None
    requested_bytes: int | None = None
    """The allocation that failed, where the error named it."""
    step: StepSeconds | None = None
    tainted: bool = False
    memory_tainted: bool = False
    """Whether another process used memory of the device during the run."""
    refused: bool = False
    """Whether a lever or the device was refused before any batch ran: true of every batch."""
    device: str = ""
    measured_at: str = ""
    changes: tuple[str, ...] = ()
    """What is different now; empty where it still holds."""
    elsewhere: bool = False
    """Whether it was measured on another kind of device, which says nothing about this one."""
    ranks: int = 0
    """Number of devices that trained as one; 0 for a single device."""

    @property
    def passed(self) -> bool:
        return self.verdict == "stable"

    @property
    def why(self) -> str:
        """Its reason as one line, to put into a sentence."""
        return first_line(self.reason).rstrip(".") or "no reason was given"

    def needed_more_than(self, cap_bytes: int) -> bool:
        """Whether it shows that this batch does not fit into this amount of memory."""
        if self.verdict in FAILED_WHATEVER_THE_MEMORY:
            return True
        if self.passed:
            return self.peak_bytes is not None and self.peak_bytes > cap_bytes
        known_cap = self.cap_bytes if self.cap_bytes is not None else cap_bytes
        return self.verdict in FAILED_FOR_MEMORY and known_cap >= cap_bytes

    def fits_in(self, cap_bytes: int) -> bool:
        """Whether it shows that this batch fits into this amount of memory."""
        return self.passed and self.peak_bytes is not None and self.peak_bytes <= cap_bytes

    def to_dict(self) -> dict[str, Any]:
        return {
            "measurement_id": self.id,
            "batch_size": self.batch_size,
            "accumulation": self.accumulation,
            "purpose": "confirm" if self.confirmed else "bracket",
            "verdict": self.verdict,
            "reason": self.reason,
            "peak_bytes": self.peak_bytes,
            "cap_bytes": self.cap_bytes,
            "step_time_s": self.step.mean if self.step else None,
            "measured_at": self.measured_at,
            "device": self.device,
            "changes": list(self.changes),
        }


@dataclass(frozen=True)
class CheckAnswer:
    """Will it fit and finish in time here? ``reason`` is one line, ``details`` are more."""

    verdict: CheckVerdict
    reason: str
    details: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    """What has changed since it was measured, where that is why there is no answer."""
    peak_bytes: int | None = None
    """Peak memory of the run that the answer rests on."""
    spare_bytes: int | None = None
    """What is left below the cap, besides the headroom."""
    short_by_bytes: int | None = None
    largest_batch: int | None = None
    """The largest that is known to fit (and to be in time, where that is asked)."""
    lever: str | None = None
    """What would help."""
    cycle_time_s: dict[str, float] | None = None
    """``mean``, ``low`` and ``high`` of a cycle of the budget's length."""
    highest_passing: dict[str, Any] | None = None
    lowest_failing: dict[str, Any] | None = None
    compared: list[dict[str, Any]] = field(default_factory=list)
    """All measurements that were considered, with ``counts_as``."""


def worth(run: MeasuredRun) -> tuple[bool, bool, int]:
    """Sort key, the best evidence last: confirmed runs, then undisturbed ones, then the newest."""
    return run.confirmed, not run.tainted, run.id
