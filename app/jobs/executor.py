"""Where jobs run: an executor knows what one place offers and starts a job's process there.

A runner asks nothing else of its place, so it runs jobs on this host (``LocalExecutor``) and on
another host of a fleet in the same way. Every executor passes ``tests/app/jobs/executor_library``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from app.database import Database
from app.jobs.detect import Detector
from app.jobs.offers import DeviceOffer, Offers
from app.jobs.process import DATABASE_VARIABLE
from app.jobs.records import Job
from app.tuning.owner import Owner, this_place, this_process

JOB_COMMAND = (sys.executable, "-P", "-m", "app.jobs.process")  # -P: no module of this folder
"""Starts the process of a job; what ``arguments`` gives follows."""


def arguments(job: Job, runner_id: str, offer: DeviceOffer) -> list[str]:
    """What ``app.jobs.process`` is told of a job that the runner of that id has taken."""
    return [job.id, runner_id, offer.device, str(job.attempt)]


class Process(Protocol):
    """A job's process, as ``subprocess.Popen`` has it."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; ``None`` while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal; does nothing when it has ended."""

    def kill(self) -> None:
        """End it at once."""


class Executor(ABC):
    """One place where jobs can run.

    A process that ``start`` has started ends with its executor, however that ends. The database's
    address, which may hold a password, never stands on a command line.
    """

    @property
    def owner(self) -> Owner:
        """The process that the jobs' processes end with, on the host where they run."""
        return this_process()

    @property
    def place(self) -> str:
        """Where the process numbers mean something: see ``app.tuning.owner.this_place``."""
        return this_place()

    @property
    def node(self) -> str:
        """The name of the fleet's node; empty outside a fleet."""
        return ""

    @property
    def is_lost(self) -> bool:
        """Whether the place is gone, with everything that ran there. Whoever holds the runner then
        buries it as a whole."""
        return False

    @abstractmethod
    def offers(self) -> Offers:
        """What can be run here. Raises ``MeasurementError`` when there is nothing."""

    def changed(self) -> Offers | None:
        """What can be run here now, if that has changed since the last look."""
        return None

    @abstractmethod
    def start(self, job: Job, runner_id: str, offer: DeviceOffer) -> Process:
        """Start the process of a job for the runner of that id, on the device. Raises ``OSError``
        when it cannot be started."""

    @abstractmethod
    def close(self) -> None:
        """End what still runs."""


class LocalExecutor(Executor):
    """This host. ``command`` is given for tests."""

    def __init__(
        self, database: Database, detector: Detector, *, command: Sequence[str] = JOB_COMMAND
    ) -> None:
        self._database = database
        self._detector = detector
        self._command = command
        self._started: list[subprocess.Popen[bytes]] = []

    def offers(self) -> Offers:
        return self._detector.offers()

    def changed(self) -> Offers | None:
        return self._detector.changed()

    def start(self, job: Job, runner_id: str, offer: DeviceOffer) -> Process:
        process = start_process(
            [*self._command, *arguments(job, runner_id, offer)],
            {**os.environ, DATABASE_VARIABLE: self._database.full_url},
        )
        self._started = [each for each in self._started if each.poll() is None] + [process]
        return process

    def close(self) -> None:
        for process in self._started:
            end(process)


def start_process(
    command: Sequence[str], environment: dict[str, str], pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a job's process in a session of its own, so that a Ctrl-C at the terminal is the
    runner's to deal with. The pipe to its standard input tells it when we have ended."""
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a job's process if it still runs, and collect it. Its worker ends with it."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
