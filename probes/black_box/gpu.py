"""Memory of a command's process tree on an NVIDIA GPU, as the driver counts it.

What counts is the same as for a workload of Tonnage's own: what torch's allocator has reserved and
the context around it. Where the driver does not tell processes apart (WSL2) or numbers them as the
host does (containers), the growth of the whole device since the command began is taken instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from probes.black_box.usage import Usage
from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing
from probes.errors import MeasurementError


class GpuTree:
    """The processes of a command on its devices, one per rank.

    As for workloads, what others had in use before is a part of what is counted. ``family`` gives
    the living process ids of the command. Raises ``MeasurementError`` where the driver tells
    nothing about memory.
    """

    def __init__(self, devices: Sequence[NvmlDevice], family: Callable[[], set[int]]) -> None:
        self.usages = [Usage() for _ in devices]
        self.notes: list[str] = []
        self._devices = [_DeviceMemory(device) for device in devices]
        self._family = family
        self._pids: set[int] = set()

    def find(self) -> None:
        self._pids = self._family()

    def enforce(self) -> None:
        """Nothing to do: torch holds itself to the cap, see ``torch_cap``."""

    def relax(self) -> None:
        """Nothing was enforced."""

    def look(self) -> None:
        for usage, device in zip(self.usages, self._devices, strict=True):
            held_bytes, is_whole = device.held_bytes(self._pids)
            usage.see(held_bytes, held_bytes, None, 0)
            if is_whole and not self.notes:
                self.notes.append(
                    "the driver does not name the command's processes: the growth of the whole "
                    "device is counted as the command's"
                )


class _DeviceMemory:
    """What a command has on one device, beside what others had before."""

    def __init__(self, device: NvmlDevice) -> None:
        self._device = device
        used = device.memory()["memory_used_bytes"]
        if isinstance(used, Missing):
            raise MeasurementError(f"The memory of the GPU cannot be read: {used.reason}.")
        self._before_bytes = int(used)

    def held_bytes(self, pids: Collection[int]) -> tuple[int, bool]:
        """Bytes in use, and whether the growth of the whole device was taken for the command's."""
        reading = self._device.memory()
        processes, used = reading["process_bytes"], reading["memory_used_bytes"]
        known = {} if isinstance(processes, Missing) else processes
        mine = sum(int(size) for pid, size in known.items() if pid in pids)
        if mine:
            return self._before_bytes + mine, False
        held = self._before_bytes if isinstance(used, Missing) else int(used)
        return held, held > self._before_bytes


def torch_cap(environ: Mapping[str, str], share: float) -> dict[str, str]:
    """What makes torch (2.10 or newer) raise at a share of the device's memory by itself, beside
    the settings that are there already."""
    own = f"per_process_memory_fraction:{max(0.0, min(1.0, share)):.6f}"
    before = environ.get("PYTORCH_ALLOC_CONF", "")
    if "per_process_memory_fraction" in before:
        return {}
    return {"PYTORCH_ALLOC_CONF": f"{before},{own}" if before else own}


def visible_devices(devices: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that show a command these devices, in this order, and no other accelerator."""
    if not devices[0].startswith("cuda"):
        return {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    shown = [part for part in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    numbers = [int(device.partition(":")[2] or 0) for device in devices]
    names = [shown[number] if number < len(shown) else str(number) for number in numbers]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names)}
