"""Starts a runner when there is work and none is running: ``tonnage serve`` alone is then enough.

The runner is a separate process in its own session. It keeps running when the service is restarted
or killed, and ends when it has had nothing to do for a while.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from app.database import Database
from app.jobs import deaths, repository, runner_repository
from app.jobs.process import DATABASE_VARIABLE
from app.settings import Settings
from app.tuning.state import ACTIVE
from optimizer.records import short_hash

LOG_FILE = "runner.log"
LOG_BYTES = 1_000_000
LOOK_EVERY_S = 5.0
RETRY_S = 30.0
"""Time between two starts: a runner that ended at once would probably do so again."""
TAIL_CHARACTERS = 500

log = logging.getLogger(__name__)


class Keeper:
    """Starts a runner on this host when there is work and none is running.

    Call ``ensure`` when the service starts, every few seconds, and after a study was submitted.
    ``standing``: the runner holds this lock, and is needed also while there is no work.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        command: list[str] | None = None,
        standing: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._command = command or runner_command(settings)
        self._standing = standing
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before_s = 0.0
        self.problem = ""
        """Why the last runner that was started ended at once; empty when all is well."""

    def ensure(self) -> bool:
        """Start a runner if one is needed; returns whether it did. Raises what the database raises,
        but never ``MeasurementError``."""
        self._look_after_last()
        if not self._settings.runner.with_service or not self._is_needed():
            return False
        if self._clock() < self._not_before_s:
            return False
        self._start()
        return True

    def _is_needed(self) -> bool:
        """Whether a job waits that no runner could take, as far as runners are known; of one that
        stands by, whether it is not there."""
        if self._standing is not None:
            return not is_held(self._standing)
        with self._database.read() as session:
            counts = repository.counts(session)
        if not any(counts.get(state, 0) for state in ACTIVE):
            return False
        with self._database.write() as session:
            deaths.bury_dead_here(session)
        with self._database.read() as session:
            waiting = repository.waiting(session)
            runners = runner_repository.listing(session)
        if all(any(runner.offers.fit(job) for runner in runners) for job in waiting):
            return False
        return not is_held(lock_file(self._settings, self._database))

    def _start(self) -> None:
        folder = self._settings.data_dir
        folder.mkdir(parents=True, exist_ok=True)
        with _log_file(folder) as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
                env={**os.environ, DATABASE_VARIABLE: self._database.full_url},
                start_new_session=True,
            )
        self._not_before_s = self._clock() + RETRY_S
        log.info("Runner started: process %d.", self._process.pid)

    def _look_after_last(self) -> None:
        """Note how the runner that was started here ended, if it has."""
        status = self._process.poll() if self._process is not None else None
        if status is None:
            return
        self._process = None
        self.problem = ""
        if status != 0:
            said = _tail(self._settings.data_dir / LOG_FILE)
            self.problem = f"The runner ended with status {status}. {said}".rstrip()
            log.error("%s", self.problem)


class RunnerWatch:
    """A thread of the service that calls ``Keeper.ensure`` every few seconds, and at once when
    woken. The runner itself is a separate process, which does not end with the service."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="runner-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._keeper.ensure()
            except Exception as error:
                # The database may be unreachable for a while: the service and this thread stay.
                log.warning("Could not check whether a runner is needed: %s", error)
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()


def runner_command(settings: Settings, *options: str) -> list[str]:
    """This Tonnage's ``tonnage runner``, to end when it is idle."""
    code = "from app.cli import main; main()"
    idle_s = str(settings.runner.idle_exit_s)
    return [sys.executable, "-P", "-c", code, "runner", "--idle-exit", idle_s, *options]


def lock_file(settings: Settings, database: Database) -> Path:
    """One per database on this host. The runner that offers every device holds it."""
    return settings.data_dir / f"runner-{short_hash(database.shown_url)}.lock"


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Whether this process holds the lock. The lock ends with the process, however that ends, and
    child processes do not inherit it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def is_held(path: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _log_file(folder: Path) -> IO[bytes]:
    """What runners write to stderr; emptied when it has become long."""
    path = folder / LOG_FILE
    long = path.exists() and path.stat().st_size > LOG_BYTES
    return path.open("wb" if long else "ab")


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-TAIL_CHARACTERS:].strip()
    except OSError:
        return ""
