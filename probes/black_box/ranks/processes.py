"""Which processes of a command are its ranks, and to which rank every other process belongs.

A rank is a process that trains; the launcher is none. torchrun, accelerate, Lightning and MPI tell
a rank its number in its environment. ``torch.multiprocessing.spawn`` tells it in an argument that
is not visible from outside: there the processes are numbered in the order of their start, once as
many of them as there are ranks hold a network connection of their own. That is what separates them
from the workers of a data loader.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import psutil

NUMBERS = ("RANK", "LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
"""Variables with the number of a rank; the first one that is new in a process counts."""
_SPAWNED = "--multiprocessing-fork"
"""Argument of a process that Python's ``multiprocessing`` starts as a program."""


class ProcessFacts(Protocol):
    """What can be read of a process; empty values where it has ended."""

    def environ(self, pid: int) -> Mapping[str, str]: ...

    def words(self, pid: int) -> list[str]:
        """Its program and arguments."""

    def started_s(self, pid: int) -> float: ...

    def connections(self, pid: int) -> set[Any]:
        """Its TCP sockets, those inherited from its parent included."""


class RankFinder:
    """Follows the processes of a command that trains on ``size`` devices."""

    def __init__(self, size: int, facts: ProcessFacts | None = None) -> None:
        self.size = size
        self.found = 0
        """The most ranks that lived at the same time."""
        self.lost: list[int] = []
        """Ranks whose process has ended."""
        self.are_connected: bool | None = None
        """Whether the ranks hold network connections, as those that train together do; ``None``
        where that is not known."""
        self._facts = facts or _SystemFacts()
        self._leaders: dict[int, int] = {}
        """Rank to the process that was last seen to be it."""
        self._told: dict[int, int] = {}
        """Process to the number that its environment tells."""
        self._parents: Mapping[int, int] = {}
        self._is_settled = False

    @property
    def leaders(self) -> set[int]:
        """The processes that are ranks themselves."""
        return set(self._leaders.values())

    @property
    def remark(self) -> str:
        """That the ranks seem not to train together; empty where they do, or that is not known."""
        if self.are_connected is not False or self.size == 1 or self.found != self.size:
            return ""
        return (
            "the ranks hold no network connection: they seem to train separately, each with a "
            "model of its own. On the CPU, accelerate and transformers train together only where "
            "they are told to use it (ACCELERATE_USE_CPU=true, use_cpu)"
        )

    def settle(self) -> None:
        """The command makes steps: no further ranks will appear, and those that train together
        have met."""
        self._is_settled = True
        if self._leaders and not self.lost:
            connected = [
                self._is_connected(pid, self._parents[pid]) for pid in self._leaders.values()
            ]
            self.are_connected = sum(connected) > 1

    def assign(self, parents: Mapping[int, int]) -> dict[int, int]:
        """The rank of every process that belongs to one. ``parents`` has every living process of
        the command with its parent. Launchers belong to no rank."""
        self._parents = parents
        leaders = self._by_number(parents) or self._by_start(parents)
        for pid, rank in leaders.items():
            self._leaders[rank] = pid
        self.found = max(self.found, len(set(leaders.values())))
        self.lost = [
            rank
            for rank, pid in sorted(self._leaders.items())
            if pid not in parents or not self._facts.words(pid)  # a zombie has none
        ]
        if self.size == 1 and not self._leaders:
            return dict.fromkeys(parents, 0)  # a script that trains alone is told no number
        owners = {pid: _owner(pid, parents, leaders) for pid in parents}
        return {pid: rank for pid, rank in owners.items() if rank is not None}

    def _by_number(self, parents: Mapping[int, int]) -> dict[int, int]:
        """Processes whose environment tells a number that their parent's does not."""
        self._told = {pid: number for pid, number in self._told.items() if pid in parents}
        for pid in parents.keys() - self._told.keys():
            number = _number(self._facts.environ(pid), self._facts.environ(parents[pid]))
            if number is not None:
                self._told[pid] = number
        found = dict(self._told)
        if found and 0 not in found.values() and 0 not in self._leaders:
            # Lightning trains as rank 0 in the process that starts the others.
            starters = {parents[pid] for pid in found}
            if len(starters) == 1 and (starter := starters.pop()) in parents:
                found[starter] = 0
        return found

    def _by_start(self, parents: Mapping[int, int]) -> dict[int, int]:
        """Processes of ``torch.multiprocessing.spawn``, in the order of their start."""
        known = {pid: rank for rank, pid in self._leaders.items() if pid in parents}
        if self._is_settled and self._leaders:
            return known
        connected: dict[int, list[int]] = {}
        for pid, parent in parents.items():
            if self._is_worker(pid, parent, parents) and self._is_connected(pid, parent):
                connected.setdefault(parent, []).append(pid)
        most = max(connected.values(), key=len, default=[])
        self.found = max(self.found, len(most))
        if self._leaders or len(most) < self.size:
            return known
        most.sort(key=lambda pid: (self._facts.started_s(pid), pid))
        return {pid: rank for rank, pid in enumerate(most)}

    def _is_worker(self, pid: int, parent: int, parents: Mapping[int, int]) -> bool:
        """Whether ``multiprocessing`` started it: as a program, or as a copy of its parent."""
        words = self._facts.words(pid)
        is_copy = parent in parents and words == self._facts.words(parent)
        return bool(words) and (_SPAWNED in words or is_copy)

    def _is_connected(self, pid: int, parent: int) -> bool:
        return bool(self._facts.connections(pid) - self._facts.connections(parent))


class _SystemFacts:
    """As the operating system tells."""

    def environ(self, pid: int) -> Mapping[str, str]:
        with contextlib.suppress(psutil.Error, OSError):
            return psutil.Process(pid).environ()
        return {}

    def words(self, pid: int) -> list[str]:
        with contextlib.suppress(psutil.Error, OSError):
            return list(psutil.Process(pid).cmdline())
        return []

    def started_s(self, pid: int) -> float:
        with contextlib.suppress(psutil.Error, OSError):
            return float(psutil.Process(pid).create_time())
        return 0.0

    def connections(self, pid: int) -> set[Any]:
        with contextlib.suppress(psutil.Error, OSError):
            sockets = psutil.Process(pid).net_connections(kind="tcp")
            return {(each.fd, each.laddr, each.raddr) for each in sockets}
        return set()


def parents_below(root: int) -> dict[int, int]:
    """Every living process below this one, with its parent."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(root).children(recursive=True)
        found = {}
        for child in children:
            with contextlib.suppress(psutil.Error):
                found[child.pid] = child.ppid()
        return found
    return {}


def _number(environ: Mapping[str, str], of_parent: Mapping[str, str]) -> int | None:
    for name in NUMBERS:
        value = environ.get(name, "")
        if value.isdecimal() and value != of_parent.get(name):
            return int(value)
    return None


def _owner(pid: int, parents: Mapping[int, int], leaders: Mapping[int, int]) -> int | None:
    """The rank of the process, or of the nearest one above it that is a rank."""
    current: int | None = pid
    while current is not None:
        if current in leaders:
            return leaders[current]
        current = parents.get(current)
    return None
