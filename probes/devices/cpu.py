"""The CPU as a device whose memory budget the operating system enforces.

**Accounting is by address space** (``VmSize``), the quantity ``RLIMIT_AS`` bounds: what counts
against the cap and what is reported are then one and the same number, and exceeding it is an
ordinary ``RuntimeError`` of torch's allocator. Everything is relative to what was mapped when
the cap was applied (interpreter, libraries, thread stacks), as a GPU's context is on a GPU.

``VmPeak``, the kernel's own high-water mark, catches every peak however short, but it cannot be
reset. So before each phase the process is padded: an inaccessible mapping (no memory, only
addresses) lifts ``VmSize`` up to ``VmPeak``, the baseline and the limit move up by as much, and
the mark measures the next phase exactly. That is why only the *soft* limit is lowered.

Repeatable peaks need a pinned allocator (``environment.worker_environment``) and a heap without
holes (``slack``).
Outside Linux nothing enforces a limit; peaks are then those of resident memory.
"""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from probes.devices import host
from probes.devices.base import (
    Backend,
    DeviceFacts,
    MemoryCap,
    checked_limit,
    missing,
)
from probes.devices.slack import idle_heap_bytes, knows_heap, map_slack
from probes.errors import MeasurementError
from probes.formatting import size_text

if TYPE_CHECKING:
    import torch


class CpuBackend(Backend):
    """This machine's processor and memory, limited by ``RLIMIT_AS`` on Linux."""

    kind = "cpu"

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        self._linux = sys.platform.startswith("linux")
        self._baseline_bytes = 0
        self._earlier_peak_bytes = 0
        self._padding: list[mmap.mmap] = []
        self._slack: list[object] = []
        self._idle_before = 0
        self._hidden_bytes = 0
        self._soft_limit_before: int | None = None

    @classmethod
    def devices(cls) -> list[str]:
        return [] if cls.unavailable_reason() else ["cpu"]

    @classmethod
    def unavailable_reason(cls) -> str:
        try:
            host.ram_bytes()
        except OSError as error:
            return f"{error}; on Windows, run under WSL2"
        return ""

    @property
    def torch_device(self) -> torch.device:
        import torch

        return torch.device("cpu")

    def facts(self) -> DeviceFacts:
        import torch

        total = host.memory_total_bytes()
        notes = []
        if not self._linux:
            notes.append("a memory budget cannot be enforced on this CPU: that needs Linux")
        return DeviceFacts(
            device="cpu",
            kind="cpu",
            name=host.cpu_model(),
            total_bytes=total,
            free_bytes=host.memory_free_bytes(),
            identity={
                "vendor": host.cpu_vendor(),
                "model": host.cpu_model(),
                "machine": host.hashed_machine_id(),
                "torch": torch.__version__,
            },
            device_class={
                "name": host.cpu_model(),
                "instruction_set": _instruction_set(),
                "cores": host.usable_cores(),
                "total_bytes": total,
            },
            environment={
                **host.host_environment(),
                "threads": torch.get_num_threads(),
                "deterministic": torch.are_deterministic_algorithms_enabled(),
            },
            precisions=self.precisions(),
            notes=notes,
        )

    def initialise(self) -> None:
        """Start torch's threads and load what it loads late, so that none of it is measured.

        A first AdamW alone maps about 70 MiB of Python modules. An allocator that cannot be asked
        may keep all of the tensors' memory and hand it to the workload unseen: that much is then
        counted as the workload's own, which is rather too much than too little.
        """
        if not self._linux or knows_heap():
            _train_something()
        else:
            before, threads_before = host.address_space_bytes(), host.thread_count()
            _train_something()
            stacks = (host.thread_count() - threads_before) * host.thread_stack_bytes()
            self._hidden_bytes = max(0, host.address_space_bytes() - before - stacks)

    def apply_cap(self, limit_bytes: int | None, headroom: float) -> MemoryCap:
        """Limit this process's address space. See ``Backend.apply_cap``; Linux only."""
        total = host.memory_total_bytes()
        limit = checked_limit("the CPU's memory", limit_bytes, headroom, total)
        cap = int(limit * (1 - headroom))
        if not self._linux:
            if limit_bytes is not None:
                raise MeasurementError(
                    "a CPU memory budget needs Linux, where the operating system enforces it: "
                    "leave the budget out, or run in a Linux container or WSL2"
                )
            note = "nothing enforces the memory limit here: only Linux can"
            return MemoryCap(limit, cap, overhead_bytes=0, enforced=False, notes=[note])

        notes = []
        free = host.memory_free_bytes()
        if free is not None:
            free //= self.sharers
        if free is not None and free < cap:
            notes.append(
                f"the cap was lowered from {size_text(cap)} to {size_text(free)}: "
                "no more memory is free on this machine"
            )
            cap = free

        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        self._slack = map_slack()
        self._idle_before = idle_heap_bytes()
        self._pad()
        self._baseline_bytes = host.address_space_bytes() - self._hidden_bytes
        for ceiling in (soft, hard):
            if ceiling != resource.RLIM_INFINITY and ceiling - self._baseline_bytes < cap:
                cap = ceiling - self._baseline_bytes
                notes.append(
                    f"the cap was lowered to {size_text(cap)}: this process already runs "
                    f"under an address-space limit of {size_text(ceiling)} (ulimit -v)"
                )
        if cap <= 0:
            raise MeasurementError(
                f"no memory is left for a probe: {size_text(free or 0)} are free on this machine; "
                "stop other programs and try again"
            )
        resource.setrlimit(resource.RLIMIT_AS, (self._baseline_bytes + cap, hard))
        self._soft_limit_before = soft
        return MemoryCap(limit, cap, overhead_bytes=0, enforced=True, notes=notes)

    def lift_cap(self) -> None:
        if self._soft_limit_before is None:
            return
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (self._soft_limit_before, hard))
        self._soft_limit_before = None

    @contextmanager
    def host_memory(self) -> Iterator[None]:
        """Without the cap, and without a trace in the peaks but for what is kept afterwards: on a
        GPU it would be outside the device."""
        if self._soft_limit_before is None:
            yield
            return
        import resource

        self.reset_phase_peak()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (self._soft_limit_before, hard))
        try:
            yield
        finally:
            if self._soft_limit_before is not None:  # not lifted for good in the meantime
                resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            with suppress(OSError, ValueError):  # as in reset_phase_peak
                self._baseline_bytes += self._pad()

    def held_bytes(self) -> int:
        if not self._linux:
            return _peak_resident_bytes()
        idle = idle_heap_bytes() - self._idle_before
        return host.address_space_bytes() - self._baseline_bytes - idle

    def peak_bytes(self) -> int:
        return max(self._earlier_peak_bytes, self.phase_peak_bytes())

    def phase_peak_bytes(self) -> int:
        if not self._linux:
            return _peak_resident_bytes()
        grown = host.process_status_bytes("VmPeak") - self._baseline_bytes
        # What is small may fit into memory that was mapped before the cap: that is used, too.
        return max(grown, self.held_bytes())

    def reset_phase_peak(self) -> None:
        """Start a phase. Where a hard address-space limit leaves no room for the padding, the
        mark stays: later phase peaks are then upper bounds."""
        if not self._linux:
            return
        self._earlier_peak_bytes = self.peak_bytes()
        try:
            self._baseline_bytes += self._pad()
        except (OSError, ValueError):
            return

    def spilled_bytes(self) -> int:
        """Memory of this process that the kernel has moved to swap. Linux only, else 0."""
        return host.process_status_bytes("VmSwap") if self._linux else 0

    def synchronize(self) -> None:
        return

    def mark(self) -> float:
        return time.perf_counter()

    def elapsed_s(self, begin: Any, end: Any) -> float:
        return float(end - begin)

    def _pad(self) -> int:
        """Map inaccessible addresses until ``VmSize`` is ``VmPeak``; how many bytes that took."""
        import resource

        gap = host.process_status_bytes("VmPeak") - host.address_space_bytes()
        if gap <= 0:
            return 0
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if self._soft_limit_before is not None and soft != resource.RLIM_INFINITY:
            # The cap moves up with the baseline: the workload may use as much as before.
            resource.setrlimit(resource.RLIMIT_AS, (soft + gap, hard))
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        try:
            self._padding.append(mmap.mmap(-1, gap, flags=flags, prot=0))
        except OSError:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            raise
        return gap


def _instruction_set() -> Any:
    import torch

    try:
        return str(torch.backends.cpu.get_cpu_capability())
    except (AttributeError, RuntimeError) as error:
        return missing(f"torch does not say: {error}")


def _peak_resident_bytes() -> int:
    """The most resident memory this process ever had, where there is no ``/proc``."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _train_something() -> None:
    """Two steps of a small model. The random state is left as it was found."""
    import torch

    with torch.random.fork_rng(devices=[]):
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * 32 * 32, 512),
            torch.nn.LayerNorm(512),
            torch.nn.Linear(512, 512),
        )
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(2):
            # Large enough that every thread of the pool gets a share of each operation.
            model(torch.ones(64, 3, 32, 32)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        torch.ones(1 << 21).mul_(2).sum().item()
