"""Run one probe on several devices: a worker per rank, and a referee. In the parent.

Each rank is the isolated process of a single probe and answers over its own pipe. So the referee
hears of a failing rank even while the others wait for it in a collective, and ends those.
Nothing that decides lies in a process that trains: no rank's death takes the verdict with it.
On several hosts it is the same: a process on each passes on what the workers there say.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from probes.devices import host
from probes.energy.watch import ProbeWatch
from probes.errors import MeasurementError
from probes.group import Group
from probes.isolation import Call, Worker, WorkerReply
from probes.job import ProbeJob
from probes.ranks.environment import environment_of
from probes.ranks.network import Network
from probes.ranks.remote.hosts import Hosts
from probes.ranks.remote.parent import RemoteWorker
from probes.timeouts import ExpectedStep, Progress, Timeouts

POLL_S = 0.05
SETTLE_S = 0.5
"""After the first bad end, other ranks may still say how theirs came, for this long."""
ECHO_S = 5.0
"""Ranks that only lost another one are given this long to hear of it: its end may take a moment to
be noticed, as what it left running is ended first."""
STOPPED_S = 2.0
"""A process that has been stopped for this long is not coming back by itself."""


@dataclass
class RankEnd:
    """How one rank ended. ``job`` is the rank's own."""

    job: ProbeJob
    reply: WorkerReply
    stopped: bool = False
    """Its process was stopped (SIGSTOP, a debugger) and did not go on."""
    error: BaseException | None = None


AnyWorker: TypeAlias = Worker | RemoteWorker


@dataclass
class _Rank:
    job: dict[str, Any]
    worker: AnyWorker
    call: Call = field(default_factory=lambda: Call(poll_s=POLL_S))
    thread: threading.Thread | None = None
    error: BaseException | None = None
    stopped_s: float = 0.0
    """Since when its process is stopped; 0 while it runs."""
    stopped: bool = False

    @property
    def is_over(self) -> bool:
        return self.thread is not None and not self.thread.is_alive()

    @property
    def ended_badly(self) -> bool:
        """Whether this end means that the others cannot go on."""
        reply = self.call.reply
        if reply.result is not None:
            if "network" in reply.result:
                return False
            measurement = reply.result.get("measurement")
            return measurement is None or measurement["verdict"] != "stable"
        return self.is_over

    @property
    def is_echo(self) -> bool:
        """Whether it only says that another rank is gone."""
        measurement = (self.call.reply.result or {}).get("measurement") or {}
        return bool(measurement.get("of_rank", {}).get("peer_error"))


class Gang:
    """The workers of a group, kept from one probe to the next. ``close`` it in the end.

    ``hosts`` are those of a group that names nodes. Raises ``HostLost`` where one of them is gone.
    """

    def __init__(self, python: str, group: Group, hosts: Hosts | None = None) -> None:
        self.python = python
        self.group = group
        self._hosts = hosts
        self._workers: list[AnyWorker | None] = [None] * group.size
        self._meeting = _Meeting() if hosts is None else None
        self._count = 0

    @property
    def is_here(self) -> bool:
        """Whether its ranks were started by this process, on this host."""
        return self._hosts is None

    def serves(self, group: Group) -> bool:
        """Whether its workers are those of the group: the same devices, threads and nodes."""
        ours = self.group
        return (ours.devices, ours.threads, ours.nodes) == (
            group.devices,
            group.threads,
            group.nodes,
        )

    def run(
        self,
        job: ProbeJob,
        timeouts: Timeouts,
        watch: ProbeWatch,
        on_progress: Progress | None = None,
        prepare: Callable[[AnyWorker], bool] = lambda worker: True,
    ) -> list[RankEnd]:
        """How each rank ended, in their order. All have ended when this returns.

        ``prepare`` is called with each worker that was not there before, and says whether it can
        still be used; otherwise another takes its place, unprepared.
        """
        assert job.group is not None
        workers, meeting = self._started(prepare), self._next_meeting()
        jobs = [self._job_of(job, rank, meeting) for rank in range(job.group.size)]
        ranks = [_Rank(j.to_dict(), worker) for j, worker in zip(jobs, workers, strict=True)]
        watch.begin(*(worker.pid for worker in workers))
        self._run(ranks, timeouts, watch.listener(on_progress), job.expected_step)
        return [
            RankEnd(own, rank.call.reply, rank.stopped)
            for own, rank in zip(jobs, ranks, strict=True)
        ]

    def measure_network(self, timeouts: Timeouts) -> Network:
        """How fast the ranks exchange data: a timed all-reduce through the library that will train.

        Raises ``MeasurementError`` that names the rank and the node where it fails.
        """
        group = self.group
        workers = self._started(lambda worker: True)  # they import torch while the store does
        job = {"kind": "network", "group": group.to_dict(), "meeting": self._next_meeting()}
        ranks = [_Rank({**job, "rank": rank}, worker) for rank, worker in enumerate(workers)]
        self._run(ranks, timeouts, None, None)
        for number, rank in enumerate(ranks):
            reply = rank.call.reply
            if not rank.call.is_off and "network" not in (reply.result or {}):
                node = group.node_of(number)
                raise MeasurementError(
                    f"The network between the nodes could not be measured: rank {number} on {node} "
                    f"{_complaint(reply)}"
                )
        told = (ranks[0].call.reply.result or {})["network"]
        return Network.of(hosts=group.hosts, ranks=group.size, library=group.library, **told)

    def _run(
        self,
        ranks: list[_Rank],
        timeouts: Timeouts,
        heard: Progress | None,
        expected: ExpectedStep | None,
    ) -> None:
        """Let the ranks do their jobs. All have ended when this returns."""
        try:
            for number, rank in enumerate(ranks):
                listener = heard if number == 0 else None
                rank.thread = threading.Thread(
                    target=_request,
                    args=(rank, timeouts, listener, expected),
                    name=f"rank {number}",
                    daemon=True,
                )
                rank.thread.start()
            self._referee(ranks)
        finally:
            for rank in ranks:
                rank.call.call_off()
            for rank in ranks:
                if rank.thread is not None:
                    rank.thread.join()
            self._drop_used_up(ranks)
        if error := next((rank.error for rank in ranks if rank.error), None):
            raise error

    def close(self) -> None:
        """End all workers. Safe to call twice."""
        for number, worker in enumerate(self._workers):
            if worker is not None:
                worker.close()
                self._workers[number] = None
        if self._meeting is not None:
            self._meeting.close()

    def _started(self, prepare: Callable[[AnyWorker], bool]) -> list[AnyWorker]:
        """All workers; those that are missing start at once, side by side."""
        missing = [
            rank for rank, worker in enumerate(self._workers) if worker is None or not worker.alive
        ]
        fresh = {rank: self._start(rank) for rank in missing}
        with ThreadPoolExecutor(max_workers=max(1, len(fresh))) as pool:
            usable = dict(zip(fresh, pool.map(prepare, fresh.values()), strict=True))
        for rank, is_usable in usable.items():
            if not is_usable:
                self._start(rank)
        return [worker for worker in self._workers if worker is not None]

    def _start(self, rank: int) -> AnyWorker:
        before = self._workers[rank]
        if before is not None:
            before.close()
        worker: AnyWorker
        if self._hosts is not None:
            worker = self._hosts.worker(self.group, rank)
        else:
            fds = self._meeting.fds if self._meeting is not None else ()
            worker = Worker(self.python, environment_of(self.group, rank), fds)
        self._workers[rank] = worker
        return worker

    def _next_meeting(self) -> str:
        """Where the ranks of the next run meet; see ``ProbeJob.meeting``."""
        if self._hosts is not None:
            return self._hosts.next_meeting()
        assert self._meeting is not None
        self._count += 1
        return f"{self._meeting.path}#{self._count}"

    def _job_of(self, job: ProbeJob, rank: int, meeting: str) -> ProbeJob:
        assert job.group is not None
        group = job.group
        return replace(
            job,
            rank=rank,
            device=group.devices[rank],
            batch_size=group.batch_sizes[rank] if group.batch_sizes else job.batch_size,
            limit_bytes=group.limits[rank] if group.limits else _limit_bytes(job, group),
            meeting=meeting,
        )

    def _referee(self, ranks: list[_Rank]) -> None:
        """Wait until all ranks have answered, or until one has ended in a way that ends all."""
        bad_s = 0.0
        while not all(rank.is_over for rank in ranks):
            now_s = time.monotonic()
            for rank in ranks:
                rank.stopped = rank.stopped or _is_stopped(rank, now_s)
            bad = [rank for rank in ranks if rank.ended_badly or rank.stopped]
            bad_s = bad_s or (now_s if bad else 0.0)
            settle_s = ECHO_S if all(rank.is_echo for rank in bad) else SETTLE_S
            if bad and now_s - bad_s > settle_s:
                return
            time.sleep(POLL_S)

    def _drop_used_up(self, ranks: list[_Rank]) -> None:
        for number, rank in enumerate(ranks):
            if not rank.call.reply.reusable:
                rank.worker.close()
                self._workers[number] = None


def _limit_bytes(job: ProbeJob, group: Group) -> int | None:
    """The memory budget of a rank: its device's own size, and on the CPU a fair share of it."""
    if job.limit_bytes is None and group.kind == "cpu":
        return host.memory_total_bytes() // group.per_host
    return job.limit_bytes


def _request(
    rank: _Rank, timeouts: Timeouts, on_progress: Progress | None, expected: ExpectedStep | None
) -> None:
    try:
        rank.worker.request(rank.job, timeouts, on_progress, expected, rank.call)
    except BaseException as error:  # for the caller's thread
        rank.error = error


def _is_stopped(rank: _Rank, now_s: float) -> bool:
    """Whether the rank's process is stopped, and has been for a while."""
    pid = rank.call.reply.last_progress.get("pid")
    if rank.is_over or not pid or rank.worker.state_of(int(pid)) != "T":
        rank.stopped_s = 0.0
        return False
    rank.stopped_s = rank.stopped_s or now_s
    return now_s - rank.stopped_s > STOPPED_S


def _complaint(reply: WorkerReply) -> str:
    """How a rank failed that was only to talk to the others."""
    result = reply.result or {}
    if "exception" in result:
        return f"failed: {result['exception']['message']}"
    if "error" in result:
        return f"failed: {result['error']}"
    if reply.lost:
        return f"is gone. {reply.lost}"
    how = reply.timed_out or f"ended with status {reply.returncode}"
    return f"{how}. {reply.stderr_tail.strip()[-500:]}".strip()


class _Meeting:
    """Where the ranks find each other: memory that has a name, or a file where there is no such
    thing. Nothing is left of the former whatever dies."""

    def __init__(self) -> None:
        self._folder = ""
        self.fds: tuple[int, ...] = ()
        create = getattr(os, "memfd_create", None)
        if create is not None and Path("/proc/self/fd").is_dir():
            with contextlib.suppress(OSError):
                self.fds = (create("tonnage-ranks"),)
                self.path = f"/proc/self/fd/{self.fds[0]}"
                return
        self._folder = tempfile.mkdtemp(prefix="tonnage-ranks-")
        self.path = str(Path(self._folder, "store"))

    def close(self) -> None:
        for fd in self.fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.fds = ()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
