"""Memory of a command's process tree on the CPU, as the kernel counts it. Linux.

The unit is that of the CPU as a device: address space. For a process that was started
as a program, files that it maps (libraries, data), what torch takes to start and the stacks of
threads do not count; for a process that was forked, what it inherited does not count. ``VmPeak``
catches every peak, however short.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from probes.black_box.ranks.processes import RankFinder
from probes.black_box.usage import Usage
from probes.devices.host import FileMappings, file_mappings

ROOM_BEFORE_STEPS = 8 * 2**30
"""Added to the kernel's limit while libraries are still being loaded, because their share of the
address space is not known yet. Until then the cap is only watched."""


USUAL_STACK_BYTES = 2 * 2**20
"""Stack of a thread where stacks have no limit (glibc on x86-64)."""


NOTHING_MAPPED = FileMappings(0, has_torch=False)


@dataclass(frozen=True)
class Status:
    """What the kernel reports of one process: bytes, and a number of threads."""

    size: int
    peak: int
    swap: int
    threads: int = 1
    resident_peak: int = 0
    """Since the last reset, files aside."""


@dataclass
class _TreeProcess:
    """What is known of one process of the tree."""

    first: Status
    is_fork: bool
    mapped: FileMappings = NOTHING_MAPPED
    looked_at: int = -1
    """``VmSize`` when the mappings were read."""
    peak_looked_at: int = -1
    """``VmPeak`` at that time."""


@dataclass
class _Sum:
    """What the processes of a rank have together."""

    size: int = 0
    peak: int = 0
    resident_peak: int = 0
    swap: int = 0
    processes: int = 0
    can_reset: bool = True

    def add(self, size: int, peak: int, resident_peak: int | None, swap: int) -> None:
        self.size += size
        self.peak += peak
        self.swap += swap
        self.processes += 1
        self.resident_peak += resident_peak or 0
        self.can_reset = self.can_reset and resident_peak is not None


class CpuTree:
    """The processes below ``root``, watched against the caps of their ranks.

    Args:
        caps: bytes that each rank may have; a single one where the command trains on one device.
        start_bytes: what a process that has torch maps, files aside, before it trains.
        ranks: tells which process belongs to which rank. Without it all belong to one.
    """

    def __init__(
        self,
        root: int,
        caps: Sequence[int],
        start_bytes: int,
        proc: Path = Path("/proc"),
        ranks: RankFinder | None = None,
    ) -> None:
        self.root = root
        self.caps = list(caps)
        self.start_bytes = start_bytes
        self.usages = [Usage() for _ in caps]
        self.notes: list[str] = []
        self._proc = proc
        self._ranks = ranks
        self._owners: dict[int, int] = {}
        """Process to rank."""
        self._known: dict[int, _TreeProcess] = {}
        self._exact = False
        self._stack_bytes = _stack_bytes()

    def find(self) -> None:
        """Look for processes that have begun or ended since. Call it a few times a second."""
        pids = self._descendants()
        if self._ranks is not None:
            self._owners = self._ranks.assign(pids)
        for pid in set(self._known) - set(pids):
            del self._known[pid]
        for pid, parent in pids.items():
            known = self._known.get(pid)
            # Between fork and exec a program looks like a copy of who started it.
            if known is None or (known.is_fork and not self._is_helper(pid, parent)):
                status = self._status(pid)
                if status is not None:
                    self._known[pid] = _TreeProcess(status, self._is_helper(pid, parent))
                    if self._exact:
                        self._limit(pid)
            elif self._exact and not known.is_fork:
                self._refresh(pid, known)

    def look(self) -> None:
        """Take note of what each rank has in use now, of its peak, of the most that was resident
        since the last look, and of its swap."""
        looked = [_Sum() for _ in self.usages]
        for pid, process in self._known.items():
            rank, status = self._rank(pid), self._status(pid)
            if status is None or rank is None:
                continue
            cap_bytes = self.caps[rank]
            looked[rank].add(
                self._own(pid, process, status.size, status, cap_bytes),
                self._own(pid, process, status.peak, status, cap_bytes),
                status.resident_peak if self._reset_resident_peak(pid) else None,
                status.swap,
            )
        for usage, now in zip(self.usages, looked, strict=True):
            high_bytes = now.resident_peak if now.processes and now.can_reset else None
            usage.see(now.size, now.peak, high_bytes, now.swap)

    def _rank(self, pid: int) -> int | None:
        """The rank whose memory it is; ``None`` for a launcher and for a rank too many."""
        if self._ranks is None:
            return 0
        rank = self._owners.get(pid)
        return rank if rank is not None and rank < len(self.usages) else None

    def _cap_bytes(self, pid: int) -> int:
        rank = self._rank(pid)
        return max(self.caps) if rank is None else self.caps[rank]

    def enforce(self) -> None:
        """From now on the kernel holds every process to the cap: what is not the command's own
        memory is known."""
        self._exact = True
        for pid in self._known:
            self._limit(pid)

    def relax(self) -> None:
        """Undo ``enforce``: the steps were misread, so libraries may still be loaded."""
        self._exact = False
        for pid, process in self._known.items():
            if (status := self._status(pid)) is not None:
                room = ROOM_BEFORE_STEPS + self._base(process, status)
                limit_addresses(pid, self._cap_bytes(pid) + room)

    def _refresh(self, pid: int, process: _TreeProcess) -> None:
        """Raise the limit by libraries that were loaded, or threads started, since it was set."""
        status = self._status(pid)
        if status is not None and status.peak > process.peak_looked_at:
            self._limit(pid)

    def _limit(self, pid: int) -> None:
        process = self._known[pid]
        status = self._status(pid)
        if status is not None:
            self._look(pid, process, status)
            limit_addresses(pid, self._cap_bytes(pid) + self._base(process, status))

    def _own(
        self, pid: int, process: _TreeProcess, bytes_: int, status: Status, cap_bytes: int
    ) -> int:
        own = bytes_ - self._base(process, status)
        # Reading the mappings takes a while, so it is done only where it may matter.
        if (
            not process.is_fork
            and own > 0
            and (own > cap_bytes or self._may_have_grown(process, status))
        ):
            self._look(pid, process, status)
            own = bytes_ - self._base(process, status)
        return max(0, own)

    def _may_have_grown(self, process: _TreeProcess, status: Status) -> bool:
        """Whether libraries may have been loaded since: not any more once there are steps."""
        return not self._exact and status.size != process.looked_at

    def _look(self, pid: int, process: _TreeProcess, status: Status) -> None:
        if process.is_fork:
            return
        try:
            text = (self._proc / str(pid) / "maps").read_text(errors="replace")
        except OSError:
            return
        if not text:
            return  # it is dying, and has given its memory back
        process.mapped, process.looked_at = file_mappings(text), status.size
        process.peak_looked_at = status.peak

    def _base(self, process: _TreeProcess, status: Status) -> int:
        """What of its address space is not the command's own."""
        if process.is_fork:
            return process.first.size + (status.threads - 1) * self._stack_bytes
        start = self.start_bytes if process.mapped.has_torch else 0
        return process.mapped.file_bytes + start + (status.threads - 1) * self._stack_bytes

    def _status(self, pid: int) -> Status | None:
        try:
            text = (self._proc / str(pid) / "status").read_text(errors="replace")
        except OSError:
            return None
        values = {}
        for line in text.splitlines():
            name, _, rest = line.partition(":")
            if name in ("VmSize", "VmPeak", "VmSwap", "Threads", "VmHWM", "RssFile"):
                values[name] = int(rest.split()[0])
        if "VmSize" not in values:  # a zombie has no memory
            return None
        size, peak, swap = (values.get(n, 0) * 1024 for n in ("VmSize", "VmPeak", "VmSwap"))
        resident = max(0, values.get("VmHWM", 0) - values.get("RssFile", 0)) * 1024
        return Status(size, peak, swap, values.get("Threads", 1), resident)

    def _reset_resident_peak(self, pid: int) -> bool:
        """Let the kernel count the resident peak (``VmHWM``) again from now. Whether it does."""
        try:
            (self._proc / str(pid) / "clear_refs").write_text("5")
        except OSError:
            return False
        return True

    def _descendants(self) -> dict[int, int]:
        """Process to parent, of everything below the root."""
        found: dict[int, int] = {}
        open_ = [self.root]
        while open_:
            parent = open_.pop()
            for pid in self._children(parent):
                if pid not in found:
                    found[pid] = parent
                    open_.append(pid)
        return found

    def _children(self, pid: int) -> list[int]:
        children: list[int] = []
        try:
            for task in (self._proc / str(pid) / "task").iterdir():
                text = (task / "children").read_text()
                children += [int(child) for child in text.split()]
        except OSError:
            return children
        return children

    def _is_helper(self, pid: int, parent: int) -> bool:
        """Whether it is a copy that counts only for what it adds. A rank that was forked trains
        with what it inherited, such as the model."""
        trains = self._ranks is not None and pid in self._ranks.leaders
        return not trains and self._is_fork(pid, parent)

    def _is_fork(self, pid: int, parent: int) -> bool:
        """Whether it is a copy of its parent rather than a program of its own: the addresses of a
        program are chosen at random when it starts."""
        return parent != self.root and self._stack(pid) == self._stack(parent) != ""

    def _stack(self, pid: int) -> str:
        """Where the stack of a process begins."""
        try:
            stat = (self._proc / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            return ""
        fields = stat.rpartition(")")[2].split()
        return fields[25] if len(fields) > 25 and fields[25] != "0" else ""


def _stack_bytes() -> int:
    """Address space that a thread's stack takes."""
    soft = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return USUAL_STACK_BYTES if soft == resource.RLIM_INFINITY else soft


def limit_addresses(pid: int, limit_bytes: int) -> None:
    """Set the address-space limit of a running process of ours. Linux only."""
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        hard = resource.prlimit(pid, resource.RLIMIT_AS)[1]  # type: ignore[attr-defined,unused-ignore]
        if hard != resource.RLIM_INFINITY:
            limit_bytes = min(limit_bytes, hard)
        resource.prlimit(pid, resource.RLIMIT_AS, (limit_bytes, hard))  # type: ignore[attr-defined,unused-ignore]
