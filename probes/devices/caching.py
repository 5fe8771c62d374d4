"""What CUDA, ROCm and XPU share: tensors live in torch's caching allocator on a device of its own.

The cap bounds that allocator only. Everything else on the device (the context, libraries, other
processes) is *overhead*: it is measured as ``total - free - reserved`` and taken off the cap, so
that "8 GiB" means 8 GiB of the device, not 8 GiB of tensors.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from types import ModuleType
from typing import TYPE_CHECKING, Any

from probes.devices import host
from probes.devices.base import (
    AllocatorCounters,
    Backend,
    MemoryCap,
    checked_limit,
    missing,
)
from probes.errors import MeasurementError
from probes.formatting import size_text

if TYPE_CHECKING:
    import torch


class CachingBackend(Backend):
    """A device with its own memory, through ``torch.cuda`` or a module shaped like it."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.index = int(device.partition(":")[2] or 0)
        self._initialised = False
        self._overhead_bytes = 0
        self._earlier_peak_bytes = 0

    @property
    @abstractmethod
    def module(self) -> ModuleType:
        """``torch.cuda`` or ``torch.xpu``."""

    def total_bytes(self) -> int:
        return int(self._properties().total_memory)

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Free on the whole device now; None where the driver does not say. Needs a context."""

    @abstractmethod
    def enforce(self, fraction: float) -> str:
        """Bound the allocator to this fraction of ``total_bytes``; why not, or empty if done."""

    @property
    def torch_device(self) -> torch.device:
        import torch

        return torch.device(self.module.__name__.rpartition(".")[2], self.index)

    def initialise(self) -> None:
        """Create the context, and load the libraries that a first matrix product brings along."""
        import torch

        self.module.set_device(self.index)
        weight: Any = torch.ones(256, 256, device=self.torch_device, requires_grad=True)
        (weight @ weight).sum().backward()
        with contextlib.suppress(RuntimeError):  # a workload without convolutions need not care
            image = torch.ones(1, 3, 16, 16, device=self.torch_device, requires_grad=True)
            kernel = torch.ones(4, 3, 3, 3, device=self.torch_device)
            torch.nn.functional.conv2d(image, kernel).sum().backward()  # type: ignore[no-untyped-call]
            del image, kernel
        self.module.synchronize(self.index)
        del weight
        self.module.empty_cache()
        self._initialised = True

    def apply_cap(self, limit_bytes: int | None, headroom: float) -> MemoryCap:
        total = self.total_bytes()
        limit = checked_limit(self.device, limit_bytes, headroom, total)
        cap = int(limit * (1 - headroom))
        self._overhead_bytes = self._overhead_now()
        allocator = cap - self._overhead_bytes
        if allocator <= 0:
            raise MeasurementError(
                f"{self.device} has no memory left for a probe: the cap of {size_text(cap)} is "
                f"short by {size_text(-allocator)} of the {size_text(self._overhead_bytes)} that "
                "the context and other processes already take; stop other programs on the "
                "device or give a larger memory budget"
            )
        reason = self.enforce(min(1.0, allocator / total))
        notes = [reason] if reason else []
        self._earlier_peak_bytes = 0
        self.module.reset_peak_memory_stats(self.index)
        return MemoryCap(limit, cap, self._overhead_bytes, enforced=not reason, notes=notes)

    def held_bytes(self) -> int:
        """Allocated tensors plus the overhead last seen (asking the driver would cost a call)."""
        return int(self.module.memory_allocated(self.index)) + self._overhead_bytes

    def peak_bytes(self) -> int:
        """Peak *reserved*, which is what the device must have, plus overhead.

        The overhead is read again: contexts grow as kernels and libraries are loaded.
        """
        self._overhead_bytes = max(self._overhead_bytes, self._overhead_now())
        reserved = int(self.module.max_memory_reserved(self.index))
        return max(self._earlier_peak_bytes, reserved) + self._overhead_bytes

    def phase_peak_bytes(self) -> int:
        """Peak *allocated* in this phase, plus overhead.

        Not reserved: blocks that an earlier phase left in the cache would count as this one's.
        """
        return int(self.module.max_memory_allocated(self.index)) + self._overhead_bytes

    def reset_phase_peak(self) -> None:
        reserved = int(self.module.max_memory_reserved(self.index))
        self._earlier_peak_bytes = max(self._earlier_peak_bytes, reserved)
        self.module.reset_peak_memory_stats(self.index)

    def outside_bytes(self) -> int:
        return self._overhead_now()

    def counters(self) -> AllocatorCounters:
        stats = self.module.memory_stats(self.index)
        return AllocatorCounters(
            retries=int(stats.get("num_alloc_retries", 0)), ooms=int(stats.get("num_ooms", 0))
        )

    def synchronize(self) -> None:
        self.module.synchronize(self.index)

    def mark(self) -> Any:
        event = self.module.Event(enable_timing=True)
        event.record()
        return event

    def elapsed_s(self, begin: Any, end: Any) -> float:
        return float(begin.elapsed_time(end)) / 1000

    def _overhead_now(self) -> int:
        try:
            free = self.free_bytes()
        except RuntimeError:  # after a fatal device error even asking fails
            free = None
        if free is None:
            return self._overhead_bytes
        return max(0, self.total_bytes() - free - int(self.module.memory_reserved(self.index)))

    def _properties(self) -> Any:
        return self.module.get_device_properties(self.index)


def optional(properties: Any, name: str) -> Any:
    """A property of the device, or why it is missing."""
    value = getattr(properties, name, None)
    return missing(f"this torch does not report {name}") if value is None else value


def hashed_uuid(properties: Any, otherwise: str) -> Any:
    """A hash of the device's UUID, or why it is missing. The reason is part of the fingerprint."""
    uuid = getattr(properties, "uuid", None)
    return missing(otherwise) if uuid is None else host.hash_uuid(str(uuid))
