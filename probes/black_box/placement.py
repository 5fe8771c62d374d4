"""Where a command runs: its devices, one per rank, the memory that each may have, and the
environment that shows it these devices and no others."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probes.black_box import gpu
from probes.black_box.footprint import Footprint
from probes.black_box.ranks.processes import RankFinder, parents_below
from probes.black_box.resident import ResidentTree
from probes.black_box.tree import ROOM_BEFORE_STEPS, CpuTree
from probes.devices import host
from probes.devices.base import MemoryCap, checked_limit
from probes.devices.environment import process_environment, worker_environment
from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing
from probes.errors import MeasurementError
from probes.formatting import size_text
from probes.job import ProbeJob

LIVE_BARS = {"TTY_COMPATIBLE": "1", "COLUMNS": "160"}
"""Rich draws no bar into a pipe before its end, and Lightning draws with Rich, unless told to."""


def devices_of(job: ProbeJob) -> tuple[str, ...]:
    """The device of each rank."""
    return job.group.devices if job.group is not None else (job.device,)


def limits_of(job: ProbeJob) -> tuple[int | None, ...]:
    """The memory budget of each rank in bytes; ``None`` for the device's own size. Ranks on one
    CPU have equal shares of its memory."""
    if job.group is None:
        return (job.limit_bytes,)
    if job.group.limits is not None:
        return job.group.limits
    limit_bytes = job.limit_bytes
    if limit_bytes is None and job.group.kind == "cpu":
        limit_bytes = host.memory_total_bytes() // job.group.size
    return (limit_bytes,) * job.group.size


@dataclass
class Placement:
    """The devices of one run and what it may use of them. ``footprints`` has one per rank.

    Raises ``MeasurementError`` for a budget that a device does not have.
    """

    job: ProbeJob
    footprints: Sequence[Footprint]
    caps: list[MemoryCap] = field(init=False)
    """One per rank."""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.devices = devices_of(self.job)
        self.kind = self.devices[0].partition(":")[0]
        self.caps = self._cpu_caps() if self.kind == "cpu" else self._device_caps()

    @property
    def size(self) -> int:
        """Number of ranks."""
        return len(self.devices)

    @property
    def is_limited(self) -> bool:
        """Whether the kernel holds each process to the cap."""
        return self.kind == "cpu" and sys.platform.startswith("linux")

    @property
    def first_address_limit(self) -> int:
        """Bytes of address space that each process may have before there are steps; 0 where
        nothing is enforced."""
        if not self.is_limited:
            return 0
        most = max(cap.cap_bytes for cap in self.caps)
        return most + self.footprints[0].start_bytes + ROOM_BEFORE_STEPS

    def environ(self, of_command: Mapping[str, str]) -> dict[str, str]:
        """As a worker's environment, with what the command asks for itself on top."""
        environ = process_environment(worker_environment(self.kind))
        for name, value in LIVE_BARS.items():
            environ.setdefault(name, value)
        environ.update(gpu.visible_devices(self.devices, environ))
        if self.kind == "cuda" and all(f.torch_version >= (2, 10) for f in self.footprints):
            environ.update(gpu.torch_cap(environ, self._least_share))
        if self.kind == "cpu" and self.size > 1:
            # Ranks share the cores; torchrun would give each of them a single one.
            threads = max(1, host.usable_cores() // self.size)
            environ.setdefault("OMP_NUM_THREADS", str(threads))
        environ.update(of_command)
        return environ

    def tree(self, root: int, ranks: RankFinder | None) -> CpuTree | ResidentTree | gpu.GpuTree:
        """The memory of the processes below ``root``. Raises ``MeasurementError`` where it cannot
        be read."""
        caps = [cap.cap_bytes for cap in self.caps]
        if self.is_limited:
            return CpuTree(root, caps, self.footprints[0].start_bytes, ranks=ranks)

        def owners() -> dict[int, int]:
            below = parents_below(root)
            return dict.fromkeys(below, 0) if ranks is None else ranks.assign(below)

        def family() -> set[int]:
            below = parents_below(root)
            if ranks is not None:
                ranks.assign(below)  # to know how many there are
            return set(below)

        if self.kind == "cpu":
            return ResidentTree(owners, self.size)
        return gpu.GpuTree([self._nvml(rank) for rank in range(self.size)], family)

    def _nvml(self, rank: int) -> NvmlDevice:
        device = NvmlDevice.find(str(self.footprints[rank].uuid))
        if isinstance(device, Missing):
            raise MeasurementError(
                f"The memory of a command on {self.devices[rank]} cannot be read: "
                f"{device.reason}. Commands are measured on the CPU and on NVIDIA GPUs; write a "
                "workload for others."
            )
        return device

    @property
    def _least_share(self) -> float:
        """The share of its device that each rank may have; the variable is the same for all."""
        return min(
            (cap.cap_bytes - cap.overhead_bytes) / footprint.total_bytes
            for cap, footprint in zip(self.caps, self.footprints, strict=True)
        )

    def _device_caps(self) -> list[MemoryCap]:
        return [
            MemoryCap(
                footprint.limit_bytes,
                int(footprint.limit_bytes * (1 - self.job.headroom)),
                footprint.overhead_bytes,
                enforced=True,
            )
            for footprint in self.footprints
        ]

    def _cpu_caps(self) -> list[MemoryCap]:
        total_bytes, free = host.memory_total_bytes(), host.memory_free_bytes()
        caps = []
        for limit in limits_of(self.job):
            limit_bytes = checked_limit("the CPU's memory", limit, self.job.headroom, total_bytes)
            cap = int(limit_bytes * (1 - self.job.headroom))
            if free is not None and free // self.size < cap:
                share = free // self.size
                of_rank = " per rank" if self.size > 1 else ""
                note = (
                    f"the cap{of_rank} was lowered from {size_text(cap)} to {size_text(share)}: "
                    "no more memory is free on this machine"
                )
                if note not in self.notes:
                    self.notes.append(note)
                cap = share
            caps.append(MemoryCap(limit_bytes, cap, overhead_bytes=0, enforced=self.is_limited))
        return caps
