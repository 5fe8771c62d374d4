"""Run one probe on several devices: a worker per rank, and a referee. In the parent.

Each rank is the isolated process of a single probe and answers over its own pipe. So the referee
hears of a failing rank even while the others wait for it in a collective, and ends those.
Nothing that decides lies in a process that trains: no rank's death takes the verdict with it.
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

from probes.devices import host
from probes.devices.environment import group_environment, worker_environment
from probes.energy.watch import ProbeWatch
from probes.group import Group
from probes.isolation import Call, Worker, WorkerReply
from probes.job import ProbeJob
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


@dataclass
class _Rank:
    job: ProbeJob
    worker: Worker
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
            measurement = reply.result.get("measurement")
            return measurement is None or measurement["verdict"] != "stable"
        return self.is_over

    @property
    def is_echo(self) -> bool:
        """Whether it only says that another rank is gone."""
        measurement = (self.call.reply.result or {}).get("measurement") or {}
        return bool(measurement.get("of_rank", {}).get("peer_error"))


class Gang:
    """The workers of a group, kept from one probe to the next. ``close`` it in the end."""

    def __init__(self, python: str, group: Group) -> None:
        self.python = python
        self.group = group
        self._workers: list[Worker | None] = [None] * group.size
        self._meeting = _Meeting()
        self._count = 0

    def serves(self, group: Group) -> bool:
        """Whether its workers are those of the group: the same devices and threads."""
        return (self.group.devices, self.group.threads) == (group.devices, group.threads)

    def run(
        self,
        job: ProbeJob,
        timeouts: Timeouts,
        watch: ProbeWatch,
        on_progress: Progress | None = None,
        prepare: Callable[[Worker], bool] = lambda worker: True,
    ) -> list[RankEnd]:
        """How each rank ended, in their order. All have ended when this returns.

        ``prepare`` is called with each worker that was not there before, and says whether it can
        still be used; otherwise another takes its place, unprepared.
        """
        assert job.group is not None
        self._count += 1
        workers = self._started(prepare)
        ranks = [_Rank(self._job_of(job, rank), worker) for rank, worker in enumerate(workers)]
        watch.begin(*(worker.pid for worker in workers))
        heard = watch.listener(on_progress)
        try:
            for number, rank in enumerate(ranks):
                listener = heard if number == 0 else None
                rank.thread = threading.Thread(
                    target=_request,
                    args=(rank, timeouts, listener, job.expected_step),
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
        return [RankEnd(rank.job, rank.call.reply, rank.stopped) for rank in ranks]

    def close(self) -> None:
        """End all workers. Safe to call twice."""
        for number, worker in enumerate(self._workers):
            if worker is not None:
                worker.close()
                self._workers[number] = None
        self._meeting.close()

    def _started(self, prepare: Callable[[Worker], bool]) -> list[Worker]:
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

    def _start(self, rank: int) -> Worker:
        before = self._workers[rank]
        if before is not None:
            before.close()
        worker = Worker(self.python, environment_of(self.group, rank), self._meeting.fds)
        self._workers[rank] = worker
        return worker

    def _job_of(self, job: ProbeJob, rank: int) -> ProbeJob:
        assert job.group is not None
        group = job.group
        return replace(
            job,
            rank=rank,
            device=group.devices[rank],
            batch_size=group.batch_sizes[rank] if group.batch_sizes else job.batch_size,
            limit_bytes=group.limits[rank] if group.limits else _limit_bytes(job, group),
            meeting=f"{self._meeting.path}#{self._count}",
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
        return host.memory_total_bytes() // group.size
    return job.limit_bytes


def _request(
    rank: _Rank, timeouts: Timeouts, on_progress: Progress | None, expected: ExpectedStep | None
) -> None:
    try:
        rank.worker.request(rank.job.to_dict(), timeouts, on_progress, expected, rank.call)
    except BaseException as error:  # for the caller's thread
        rank.error = error


def _is_stopped(rank: _Rank, now_s: float) -> bool:
    """Whether the rank's process is stopped, and has been for a while."""
    pid = rank.call.reply.last_progress.get("pid")
    if rank.is_over or not pid or host.process_state(int(pid)) != "T":
        rank.stopped_s = 0.0
        return False
    rank.stopped_s = rank.stopped_s or now_s
    return now_s - rank.stopped_s > STOPPED_S


def environment_of(group: Group, rank: int) -> dict[str, str]:
    """What a rank's environment has beside the user's own: as under torchrun, and a fair share of
    the cores where all ranks are on the CPU."""
    added = worker_environment(group.kind)
    added.update(group_environment(group))
    added.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(group.size),
        LOCAL_WORLD_SIZE=str(group.size),
        GROUP_RANK="0",
    )
    return added


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
