"""Apple GPUs through Metal: the memory is the machine's own, and its limit a recommendation.

Metal goes on past its recommended size by swapping, far slower and without an error. So the cap
is always set, at most 1.0 of the recommendation, and the growth of swap is read around a probe.

``torch.mps`` has no peak counter; ``torch.accelerator`` has one for MPS from 2.13 on. Before
that the peak is sampled at step boundaries from the driver's figure, which the caching allocator
keeps near its high-water mark: a block is not handed back to Metal within a step.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from probes.devices import host
from probes.devices.base import (
    Backend,
    DeviceFacts,
    MemoryCap,
    checked_limit,
    missing,
)
from probes.errors import MeasurementError
from probes.formatting import size_text

if TYPE_CHECKING:
    import torch


class MpsBackend(Backend):
    """The one GPU of an Apple machine."""

    kind = "mps"

    def __init__(self, device: str = "mps") -> None:
        super().__init__("mps")
        self._sampled_peak_bytes = 0
        self._sampled_phase_bytes = 0
        self._earlier_peak_bytes = 0
        self._swap_before_bytes: int | None = None

    @classmethod
    def devices(cls) -> list[str]:
        import torch

        return ["mps"] if torch.backends.mps.is_available() else []

    @classmethod
    def unavailable_reason(cls) -> str:
        import torch

        if cls.devices():
            return ""
        if not torch.backends.mps.is_built():
            return "this torch was built without MPS: it is part of the macOS builds only"
        return "MPS needs an Apple GPU and a recent macOS: update macOS, or use the CPU"

    @property
    def module(self) -> ModuleType:
        import torch

        return torch.mps

    @property
    def torch_device(self) -> torch.device:
        import torch

        return torch.device("mps")

    def total_bytes(self) -> int:
        """What Metal recommends to use at most: about two thirds to three quarters of the RAM."""
        reader = getattr(self.module, "recommended_max_memory", None)
        if reader is not None:
            return int(reader())
        raise MeasurementError("this torch does not report the GPU's memory: update it (2.6 does)")

    def facts(self) -> DeviceFacts:
        import torch

        total = self.total_bytes()
        name = _sysctl("machdep.cpu.brand_string") or "Apple GPU"
        return DeviceFacts(
            device="mps",
            kind="mps",
            name=name,
            total_bytes=total,
            free_bytes=max(0, total - int(self.module.driver_allocated_memory())),
            identity={
                "vendor": "Apple",
                "machine": host.hashed_machine_id(),
                "driver": _sysctl("kern.osproductversion") or missing("sysctl is not available"),
                "torch": torch.__version__,
            },
            device_class={
                "name": name,
                "cores": missing("macOS reports GPU cores only through system_profiler"),
                "total_bytes": total,
                "integrated": True,
            },
            environment={
                **host.host_environment(),
                "devices": 1,
                "deterministic": torch.are_deterministic_algorithms_enabled(),
            },
            precisions=self.precisions(),
            notes=[
                "free memory counts this process only: other programs share the same RAM",
                "after a failure on MPS the process must not be used again",
            ],
        )

    def initialise(self) -> None:
        import torch

        weight: Any = torch.ones(256, 256, device="mps", requires_grad=True)
        (weight @ weight).sum().backward()
        self.module.synchronize()
        del weight
        self.module.empty_cache()
        self._swap_before_bytes = _swap_used_bytes()

    def apply_cap(self, limit_bytes: int | None, headroom: float) -> MemoryCap:
        total = self.total_bytes()
        limit = checked_limit("mps", limit_bytes, headroom, total)
        cap = int(limit * (1 - headroom))
        if cap <= self._driver_bytes():
            raise MeasurementError(
                f"mps has no memory left for a probe: the cap is {size_text(cap)}, and torch "
                f"itself already holds {size_text(self._driver_bytes())}; give a larger budget"
            )
        self.module.set_per_process_memory_fraction(cap / total)
        self._sampled_peak_bytes = self._sampled_phase_bytes = self._driver_bytes()
        self._reset_counter()
        notes = (
            []
            if self._counter("max_memory_allocated") is not None
            else ["this torch has no peak counter on MPS (2.13 has): the peak was sampled per step"]
        )
        return MemoryCap(limit, cap, overhead_bytes=0, enforced=True, notes=notes)

    def held_bytes(self) -> int:
        self._sample()
        return int(self.module.current_allocated_memory())

    def peak_bytes(self) -> int:
        self._sample()
        counted = self._counter("max_memory_reserved") or 0
        return max(self._earlier_peak_bytes, counted, self._sampled_peak_bytes)

    def phase_peak_bytes(self) -> int:
        self._sample()
        counted = self._counter("max_memory_allocated")
        return self._sampled_phase_bytes if counted is None else counted

    def reset_phase_peak(self) -> None:
        self._earlier_peak_bytes = self.peak_bytes()
        self._sampled_phase_bytes = int(self.module.current_allocated_memory())
        self._reset_counter()

    def spilled_bytes(self) -> int:
        """Growth of the machine's swap since ``initialise``, whoever caused it.

        Starts a process (``sysctl``): call it once, after the last step.
        """
        now = _swap_used_bytes()
        if now is None or self._swap_before_bytes is None:
            return 0
        return max(0, now - self._swap_before_bytes)

    def synchronize(self) -> None:
        self.module.synchronize()

    def mark(self) -> Any:
        event = self.module.event.Event(enable_timing=True)
        event.record()
        return event

    def elapsed_s(self, begin: Any, end: Any) -> float:
        return float(begin.elapsed_time(end)) / 1000

    def _driver_bytes(self) -> int:
        return int(self.module.driver_allocated_memory())

    def _sample(self) -> None:
        driver = self._driver_bytes()
        self._sampled_peak_bytes = max(self._sampled_peak_bytes, driver)
        self._sampled_phase_bytes = max(self._sampled_phase_bytes, driver)

    def _counter(self, name: str) -> int | None:
        """A ``torch.accelerator`` memory figure; None where MPS has none (before 2.13)."""
        reader = _accelerator_function(name)
        if reader is None:
            return None
        try:
            return int(reader())
        except RuntimeError:  # 2.9 to 2.12: "… is not a DeviceAllocator"
            return None

    def _reset_counter(self) -> None:
        reset = _accelerator_function("reset_peak_memory_stats")
        if reset is None:
            return
        try:
            reset()
        except RuntimeError:
            return


def _accelerator_function(name: str) -> Callable[[], Any] | None:
    import torch

    return getattr(getattr(torch, "accelerator", None), name, None)


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _swap_used_bytes() -> int | None:
    """``vm.swapusage`` reads ``total = 2048.00M  used = 1024.25M  free = 1023.75M``."""
    match = re.search(r"used = ([\d.,]+)([KMGT])", _sysctl("vm.swapusage"))
    if match is None:
        return None
    scale = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}[match.group(2)]
    return int(float(match.group(1).replace(",", ".")) * scale)
