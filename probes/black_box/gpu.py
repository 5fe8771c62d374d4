"""Memory of a command's process tree on an NVIDIA GPU, as the driver counts it.

What counts is the same as for a workload of Tonnage's own: what torch's allocator has reserved and
the context around it. Where the driver does not tell processes apart (WSL2) or numbers them as the
host does (containers), the growth of the whole device since the command began is taken instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing
from probes.errors import MeasurementError


class GpuTree:
    """The processes of a family on one device, watched against a cap in bytes.

    As for workloads, what others had in use before is a part of what is counted. ``family`` gives
    the living process ids of the command. Raises ``MeasurementError`` where the driver tells
    nothing about memory.
    """

    def __init__(self, device: NvmlDevice, family: Callable[[], set[int]]) -> None:
        self.peak_bytes = 0
        self.high_bytes: int | None = None
        self.swap_bytes = 0
        self.notes: list[str] = []
        self._device = device
        self._family = family
        self._pids: set[int] = set()
        used = device.memory()["memory_used_bytes"]
        if isinstance(used, Missing):
            raise MeasurementError(f"The memory of the GPU cannot be read: {used.reason}.")
        self.used_before_bytes = int(used)

    def find(self) -> None:
        self._pids = self._family()

    def enforce(self) -> None:
        """Nothing to do: torch holds itself to the cap, see ``torch_cap``."""

    def relax(self) -> None:
        """Nothing was enforced."""

    def held_bytes(self) -> int:
        reading = self._device.memory()
        processes, used = reading["process_bytes"], reading["memory_used_bytes"]
        known = {} if isinstance(processes, Missing) else processes
        mine: int = sum(size for pid, size in known.items() if pid in self._pids)
        held: int
        if mine:
            held = self.used_before_bytes + mine
        else:
            held = self.used_before_bytes if isinstance(used, Missing) else int(used)
            if held > self.used_before_bytes and not self.notes:
                self.notes.append(
                    "the driver does not name the command's processes: the growth of the whole "
                    "device is counted as the command's"
                )
        self.peak_bytes = max(self.peak_bytes, held)
        return held


def torch_cap(environ: Mapping[str, str], share: float) -> dict[str, str]:
    """What makes torch (2.10 or newer) raise at a share of the device's memory by itself, beside
    the settings that are there already."""
    own = f"per_process_memory_fraction:{max(0.0, min(1.0, share)):.6f}"
    before = environ.get("PYTORCH_ALLOC_CONF", "")
    if "per_process_memory_fraction" in before:
        return {}
    return {"PYTORCH_ALLOC_CONF": f"{before},{own}" if before else own}


def visible_devices(device: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that show a command this device and no other accelerator."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    shown = [part for part in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    number = int(index or 0)
    return {"CUDA_VISIBLE_DEVICES": shown[number] if number < len(shown) else str(number)}
