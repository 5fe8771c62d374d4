"""The interface of a backend: what a probe needs from an accelerator, in the worker's process.

One file per backend implements it (``cpu``, ``cuda``, ``mps``, ``xpu``). Backends run inside the
worker, in the user's interpreter: torch and the standard library only, Python 3.10 syntax.
Telemetry (NVML) and hashing of fingerprints happen in the parent, see ``telemetry`` and
``fingerprint``.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from probes.errors import MeasurementError
from probes.formatting import size_text

if TYPE_CHECKING:
    import torch


NO_TF32 = "TF32 is a mode of NVIDIA GPUs of compute capability 8.0 or more; use bf16 or fp32."


@dataclass(frozen=True)
class DeviceFacts:
    """What a backend knows about one device. Plain data: it crosses the process boundary.

    Values that could not be read are ``{"missing": reason}``, never absent and never guessed.
    """

    device: str
    """How torch and the command line name it: ``cpu``, ``cuda:0``, ``mps``, ``xpu:0``."""
    kind: str
    """``cpu``, ``cuda``, ``rocm``, ``mps`` or ``xpu``."""
    name: str
    total_bytes: int
    free_bytes: int | None
    identity: dict[str, Any] = field(default_factory=dict)
    device_class: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    precisions: dict[str, str] = field(default_factory=dict)
    """See ``Backend.precisions``."""


@dataclass(frozen=True)
class MemoryCap:
    """The limit a probe runs under. Bytes. ``cap_bytes <= limit_bytes``."""

    limit_bytes: int
    """The budget: what was asked for, or the device's size."""
    cap_bytes: int
    """``limit_bytes * (1 - headroom)``, less where the device has less free."""
    overhead_bytes: int
    """Part of the cap already used outside the tensor allocator (context, libraries)."""
    enforced: bool
    """Whether exceeding the cap raises, rather than being noticed afterwards."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class AllocatorCounters:
    """Signs of memory pressure that do not raise. Zero where a backend cannot count them."""

    retries: int = 0
    ooms: int = 0


def autocast_refusal(device_type: str, dtype_name: str) -> str:
    """Why ``torch.autocast`` does not work in a type; empty where it does.

    It is asked, not looked up: it depends on torch's version and the system's. What it cannot do
    it mostly says in a warning, and then does nothing.
    """
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with torch.autocast(device_type, dtype=getattr(torch, dtype_name)):
                works = torch.is_autocast_enabled(device_type)
        except RuntimeError as error:
            return str(error)
    if works:
        return ""
    words = " ".join(str(warning.message) for warning in caught)
    return " ".join(words.split()) or f"torch.autocast does not work here in {dtype_name}"


def missing(reason: str) -> dict[str, str]:
    """How a value that could not be read travels: never absent, never guessed."""
    return {"missing": reason}


def checked_limit(device: str, limit_bytes: int | None, headroom: float, total_bytes: int) -> int:
    """The memory budget in bytes: what was asked for, or the device's size.

    Raises ``MeasurementError`` when the device is smaller than the budget, or either number
    makes no sense.
    """
    if not 0 <= headroom < 1:
        raise MeasurementError(f"the headroom must be at least 0 and below 1, not {headroom}")
    if limit_bytes is None:
        return total_bytes
    if limit_bytes <= 0:
        raise MeasurementError(f"the memory budget must be positive, not {limit_bytes} bytes")
    if limit_bytes > total_bytes:
        raise MeasurementError(
            f"the memory budget of {size_text(limit_bytes)} is larger than {device}, which has "
            f"{size_text(total_bytes)}: give a budget up to that size, or none to use all of it"
        )
    return limit_bytes


class Backend(ABC):
    """One device, inside the worker. Call ``initialise`` and ``apply_cap`` first, once each."""

    kind: str
    sharers = 1
    """Processes that train on this device together, this one included."""

    @classmethod
    @abstractmethod
    def devices(cls) -> list[str]:
        """Device strings this backend offers here; empty when there are none."""

    @classmethod
    @abstractmethod
    def unavailable_reason(cls) -> str:
        """Why ``devices()`` is empty, in words a person can act on; empty when it is not."""

    def __init__(self, device: str) -> None:
        self.device = device

    @property
    @abstractmethod
    def torch_device(self) -> torch.device:
        """The device as torch names it."""

    @abstractmethod
    def facts(self) -> DeviceFacts:
        """Identity, class and environment of the device. Allocates nothing on it where possible."""

    @abstractmethod
    def initialise(self) -> None:
        """Create context and threads, so that what follows measures the workload only."""

    @abstractmethod
    def apply_cap(self, limit_bytes: int | None, headroom: float) -> MemoryCap:
        """Enforce the memory cap for the rest of this process.

        ``limit_bytes=None`` means the device's own size. Raises ``MeasurementError`` when the
        limit cannot be enforced or is larger than the device.
        """

    def lift_cap(self) -> None:  # noqa: B027 - allocators need nothing done
        """Remove the cap, for good: the probe is over and its outcome must be reported.

        A process at its limit may not have the memory left to format its own error message.
        """

    @contextmanager
    def host_memory(self) -> Iterator[None]:
        """What is done inside takes the host's memory and not the device's, such as reading a
        checkpoint. Only where both are one does the cap have to make room for it."""
        yield

    @abstractmethod
    def held_bytes(self) -> int:
        """Memory allocated now, overhead included. Cheap: called after every step."""

    @abstractmethod
    def peak_bytes(self) -> int:
        """Most memory in use since ``apply_cap``, overhead included (reserved, not allocated)."""

    @abstractmethod
    def phase_peak_bytes(self) -> int:
        """Most memory in use since the last ``reset_phase_peak``, overhead included."""

    @abstractmethod
    def reset_phase_peak(self) -> None:
        """Begin a new ``phase_peak_bytes`` from the memory in use now."""

    def counters(self) -> AllocatorCounters:
        """Counts of the allocator so far; zero where it counts nothing."""
        return AllocatorCounters()

    def outside_bytes(self) -> int:
        """Device memory in use outside the tensor allocator: contexts, and the buffers of a
        communication library. 0 where everything is counted together."""
        return 0

    def spilled_bytes(self) -> int:
        """Memory used outside the device by this process (swap); 0 where it cannot happen."""
        return 0

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""

    @abstractmethod
    def mark(self) -> Any:
        """A point on the device's time line. Does not wait."""

    @abstractmethod
    def elapsed_s(self, begin: Any, end: Any) -> float:
        """Seconds between two marks. Both must have been reached: call ``synchronize`` first."""

    def autocast_kind(self) -> str:
        """The ``device_type`` of ``torch.autocast``."""
        return self.torch_device.type

    def precisions(self) -> dict[str, str]:
        """Why the device cannot train in a precision, for each of them; empty where it can.

        Touches no memory of the device.
        """
        kind = self.autocast_kind()
        return {
            "fp32": "",
            "tf32": NO_TF32,
            "bf16": autocast_refusal(kind, "bfloat16"),
            "fp16": autocast_refusal(kind, "float16"),
        }
