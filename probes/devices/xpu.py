"""Intel GPUs through ``torch.xpu``.

Running an XPU out of memory does not always raise: it can lose the device or hang the machine
(pytorch issue 177714). So a cap matters more here than elsewhere, and torch can enforce one only
from 2.10 on; on an older torch a probe stays at 85 % of the device, unenforced.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from probes.devices import host
from probes.devices.base import DeviceFacts, MemoryCap, missing
from probes.devices.caching import CachingBackend, hashed_uuid, optional

UNENFORCED_FRACTION = 0.85
"""How much of a device may be used where nothing enforces the limit."""


class XpuBackend(CachingBackend):
    """One device of ``torch.xpu``."""

    kind = "xpu"

    @classmethod
    def devices(cls) -> list[str]:
        import torch

        if not hasattr(torch, "xpu") or not torch.xpu.is_available():
            return []
        return [f"xpu:{index}" for index in range(torch.xpu.device_count())]

    @classmethod
    def unavailable_reason(cls) -> str:
        import torch

        if cls.devices():
            return ""
        if not getattr(torch.version, "xpu", None):
            return (
                f"this torch ({torch.__version__}) was built without XPU support: install it from "
                "https://download.pytorch.org/whl/xpu"
            )
        return "torch has XPU support but sees no device: check the Intel GPU driver (sycl-ls)"

    @property
    def module(self) -> ModuleType:
        import torch

        return torch.xpu

    def free_bytes(self) -> int | None:
        reader = getattr(self.module, "mem_get_info", None)
        if reader is None:
            return None
        try:
            free, total = reader(self.index)
        except RuntimeError:  # a device without SYCL's free-memory aspect
            return None
        return min(int(free), int(total))

    def enforce(self, fraction: float) -> str:
        setter = self._fraction_setter()
        if setter is None:
            return "this torch cannot enforce a memory limit on an XPU (2.10 and later can)"
        setter(fraction, self.index)
        return ""

    def apply_cap(self, limit_bytes: int | None, headroom: float) -> MemoryCap:
        if self._fraction_setter() is None:
            # Exceeding the device may hang the machine: keep further away from its end.
            safe = int(self.total_bytes() * UNENFORCED_FRACTION)
            cap = super().apply_cap(limit_bytes, headroom)
            note = f"the cap stays at {UNENFORCED_FRACTION:.0%} of the device for safety"
            if cap.cap_bytes <= safe:
                return cap
            return MemoryCap(
                cap.limit_bytes, safe, cap.overhead_bytes, enforced=False, notes=[*cap.notes, note]
            )
        cap = super().apply_cap(limit_bytes, headroom)
        if self.free_bytes() is None:
            note = (
                "the driver does not report free memory: other processes and the context are "
                "not taken off the cap"
            )
            return MemoryCap(cap.limit_bytes, cap.cap_bytes, 0, True, [*cap.notes, note])
        return cap

    def facts(self) -> DeviceFacts:
        import torch

        properties = self._properties()
        total = self.total_bytes()
        return DeviceFacts(
            device=self.device,
            kind=self.kind,
            name=properties.name,
            total_bytes=total,
            free_bytes=self.free_bytes() if self._initialised else None,
            identity={
                "vendor": "Intel",
                "uuid": hashed_uuid(properties, "this torch does not report it"),
                "driver": optional(properties, "driver_version"),
                "runtime": getattr(torch.version, "xpu", None) or missing("not reported"),
                "torch": torch.__version__,
            },
            device_class={
                "name": properties.name,
                "architecture": optional(properties, "architecture"),
                "compute_units": optional(properties, "max_compute_units"),
                "execution_units": optional(properties, "gpu_eu_count"),
                "total_bytes": total,
                "l2_bytes": optional(properties, "last_level_cache_size"),
                "integrated": optional(properties, "is_integrated_gpu"),
            },
            environment={
                **host.host_environment(),
                "devices": torch.xpu.device_count(),
                "matmul_precision": torch.get_float32_matmul_precision(),
                "deterministic": torch.are_deterministic_algorithms_enabled(),
            },
            precisions=self.precisions(),
            notes=["after a failure on an XPU the process must not be used again"],
        )

    def _fraction_setter(self) -> Any:
        setter = getattr(self.module, "set_per_process_memory_fraction", None)
        memory = getattr(self.module, "memory", None)
        return setter or getattr(memory, "set_per_process_memory_fraction", None)
