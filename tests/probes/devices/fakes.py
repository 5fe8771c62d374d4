"""Stand-ins for hardware that is not here. They check wiring, and never count as a device tested.

Every function replaces a real one of torch through ``create_autospec``, so a call with arguments
that torch would refuse fails here too.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from probes.formatting import GIB, MIB

PROPERTIES = SimpleNamespace(
    name="Fake GPU",
    major=9,
    minor=0,
    gcnArchName="gfx942:sramecc+",
    multi_processor_count=132,
    total_memory=80 * GIB,
    L2_cache_size=50 * MIB,
    is_integrated=0,
    uuid="6fa3d1b2-0000-1111-2222-333344445555",
    pci_bus_id=0x17,
    pci_device_id=0,
    pci_domain_id=0,
    driver_version="1.6.33",
    architecture=5,
    max_compute_units=160,
    gpu_eu_count=160,
    last_level_cache_size=18 * MIB,
    is_integrated_gpu=False,
)


class FakeAllocator:
    """The numbers behind a fake device. Bytes."""

    def __init__(self, total: int = 80 * GIB, free: int = 79 * GIB) -> None:
        self.total = total
        self.free = free
        self.allocated = 0
        self.reserved = 0
        self.max_allocated = 0
        self.max_reserved = 0
        self.retries = 0
        self.ooms = 0

    def use(self, allocated: int, reserved: int) -> None:
        self.free -= reserved - self.reserved
        self.allocated, self.reserved = allocated, reserved
        self.max_allocated = max(self.max_allocated, allocated)
        self.max_reserved = max(self.max_reserved, reserved)

    def reset_peak(self, *_: Any) -> None:
        self.max_allocated, self.max_reserved = self.allocated, self.reserved


def install(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, allocator: FakeAllocator, **properties: Any
) -> dict[str, mock.Mock]:
    """Replace the memory functions of ``torch.cuda`` or ``torch.xpu``; the mocks by name."""
    described = SimpleNamespace(**{**vars(PROPERTIES), **properties})
    behaviour: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_properties": lambda device=None: described,
        "mem_get_info": lambda device=None: (allocator.free, allocator.total),
        "memory_allocated": lambda device=None: allocator.allocated,
        "memory_reserved": lambda device=None: allocator.reserved,
        "max_memory_allocated": lambda device=None: allocator.max_allocated,
        "max_memory_reserved": lambda device=None: allocator.max_reserved,
        "reset_peak_memory_stats": lambda device=None: allocator.reset_peak(),
        "memory_stats": lambda device=None: {
            "num_alloc_retries": allocator.retries,
            "num_ooms": allocator.ooms,
        },
        "set_per_process_memory_fraction": lambda fraction, device=None: None,
        "synchronize": lambda device=None: None,
    }
    if hasattr(module, "get_allocator_backend"):
        behaviour["get_allocator_backend"] = lambda: "native"
    mocks = {}
    for name, does in behaviour.items():
        fake = mock.create_autospec(getattr(module, name), side_effect=does)
        monkeypatch.setattr(module, name, fake)
        mocks[name] = fake
    return mocks


class FakeEvent:
    """A device event whose time is set when it is recorded."""

    clock_ms = 0.0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing, "an event without timing cannot measure"
        self.at_ms = -1.0

    def record(self) -> None:
        type(self).clock_ms += 250.0
        self.at_ms = type(self).clock_ms

    def elapsed_time(self, other: FakeEvent) -> float:
        return other.at_ms - self.at_ms
