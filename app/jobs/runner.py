"""A runner: takes jobs from the queue and runs each in a process of its own.

It never measures or searches itself, so that it stays small and survives what a study does. All
it knows is in the database: it can be killed at any moment, and another runner takes over.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.database import Database
from app.ids import new_id
from app.jobs import assisting, deaths, queue, repository, runner_repository
from app.jobs.deaths import HeartbeatMonitor
from app.jobs.demand import Wanted, groups_in
from app.jobs.executor import Executor, Process
from app.jobs.offers import DeviceOffer
from app.jobs.process import EXIT_AGAIN, EXIT_INTERRUPTED, EXIT_TERMINATED
from app.jobs.records import Job, JobKind
from app.settings import RunnerSettings
from app.tuning.state import TERMINAL, StudyState
from probes.errors import TonnageError

POLL_S = 0.5
AGAIN_AFTER_S = 5.0
"""A runner waits this long before it takes a job again that it has given back."""

CANCEL, STOP, LOST = "cancel", "stop", "lost"
"""Why a job's process is being ended."""

log = logging.getLogger(__name__)


@dataclass
class _Running:
    """A job and its process."""

    job_id: str
    asked: str
    """The job that was asked for: the same, or the one that this one assists."""
    attempt: int
    lease: str
    process: Process
    grace_s: float
    """Seconds it has to end by itself."""
    ending: str = ""
    """Why it is being ended; empty while it is not."""
    kill_at_s: float = 0.0


class Runner:
    """Runs jobs on what its executor offers, one per device, until it is stopped.

    ``clock`` is for tests. ``run`` returns when every job has been given back; ``step`` is one
    round of it, for a caller with a clock of its own. A fleet, which holds many runners
    (``held_by``), calls the parts of a round itself, so that one query serves all of them. Raises
    ``MeasurementError`` when the executor has nothing to offer.
    """

    def __init__(
        self,
        database: Database,
        settings: RunnerSettings,
        executor: Executor,
        *,
        held_by: runner_repository.Holder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.offers = executor.offers()
        self.is_leaving = False
        """Whether its devices go away, so that others of their class may take over at once."""
        self._held_by = held_by
        self._database = database
        self._settings = settings
        self._executor = executor
        self._clock = clock
        self._running: list[_Running] = []
        self._not_before: dict[str, float] = {}
        self._record: runner_repository.RunnerRecord | None = None
        self._watch = HeartbeatMonitor(settings.dead_after_s, clock)
        self._beat_at_s = clock()
        self._busy_at_s = clock()
        self._stopping = False
        self._in_trouble = False

    @property
    def id(self) -> str:
        return self._record.id if self._record is not None else ""

    @property
    def idle_s(self) -> float:
        """Seconds since there was last something to do."""
        return 0.0 if self._running else self._clock() - self._busy_at_s

    @property
    def is_running(self) -> list[str]:
        """Ids of the jobs whose process has not ended."""
        return [each.job_id for each in self._running]

    def run(self, idle_exit_s: float | None = None) -> None:
        """Until ``stop`` is called, or there was nothing to do for ``idle_exit_s`` seconds."""
        while not self._stopping:
            self.step()
            if idle_exit_s is not None and self.idle_s >= idle_exit_s:
                log.info("Nothing to do for %.0f s: the runner ends.", self.idle_s)
                break
            time.sleep(POLL_S)
        self._give_back()

    def stop(self) -> None:
        """End soon; safe in a signal handler. A second call ends the studies without grace."""
        if self._stopping:
            for each in self._running:
                each.process.kill()
        self._stopping = True

    def step(self) -> None:
        """One round. If the database cannot be used the runner waits for it; running studies
        continue."""
        try:
            self._sign_of_life()
            self.reap()
            self._obey()
            if not self._stopping:
                self.take()
        except TonnageError as error:
            self._watch.forget()
            if not self._in_trouble:
                log.warning("%s The runner waits for the database.", error)
            self._in_trouble = True
            return
        if self._in_trouble:
            log.info("The database is back.")
        self._in_trouble = False

    # -- being there -----------------------------------------------------------------------

    def _sign_of_life(self) -> None:
        now_s = self._clock()
        if self._record is not None and now_s < self._beat_at_s + self._settings.heartbeat_s:
            return
        self.look_around()
        with self._database.write() as session:
            known = self._record is not None and runner_repository.beat(session, self.id)
            self.sign_on(session, known)
            deaths.bury_dead_here(session)
            for runner_id in self._watch.silent(runner_repository.listing(session)):
                deaths.bury(session, runner_id)
        self._beat_at_s = now_s

    def look_around(self) -> None:
        """Ask the executor whether it offers something else now, unless something is measured,
        which a look would disturb."""
        if self._record is not None and not self._running:
            self.offers = self._executor.changed() or self.offers

    def sign_on(self, session: Session, known: bool) -> None:
        """Store that this runner is there and what it offers; ``known``: its row still is."""
        record = self._signed_on(session, known)
        if self._record is not None and not known:
            log.warning("Another process took this runner for dead; its studies are ended here.")
            self.end_all(LOST)
        self._record = record

    def _signed_on(self, session: Session, known: bool) -> runner_repository.RunnerRecord:
        """This runner as the database has it, with what it offers now."""
        if not known or self._record is None:
            return self._register(session)
        if self._record.offers == self.offers:
            return self._record
        log.info("Workloads now: %s.", ", ".join(self.offers.workloads))
        return runner_repository.set_offers(session, self.id, self.offers)

    def _register(self, session: Session) -> runner_repository.RunnerRecord:
        runner_id = new_id("run")
        where = self._executor
        runner_repository.add(
            session,
            runner_id,
            where.owner,
            where.place,
            self.offers,
            held_by=self._held_by,
            node=where.node,
        )
        record = runner_repository.locked(session, runner_id)
        assert record is not None
        return record

    # -- jobs that run ---------------------------------------------------------------------

    def reap(self) -> None:
        """Settle the jobs whose process has ended; kill processes whose grace period is over."""
        for each in list(self._running):
            status = each.process.poll()
            if self._executor.is_lost:
                return
            if status is not None:
                self._settle(each, status)
                self._running.remove(each)
                if (
                    each.asked != each.job_id
                ):  # the study is about to end, or a moment is soon enough
                    self._not_before[each.asked] = self._clock() + AGAIN_AFTER_S
                self._busy_at_s = self._clock()
            elif each.ending and self._clock() >= each.kill_at_s:
                each.process.kill()

    def _settle(self, each: _Running, status: int) -> None:
        """Store how a job ended if its process has not stored it. Another runner may own the job by
        now."""
        try:
            with self._database.write() as session:
                if each.ending == CANCEL:
                    self._close(session, each, StudyState.CANCELLED, "Cancelled.")
                elif each.ending == STOP or status == EXIT_TERMINATED:
                    self._hand_back(session, each, "Its runner was stopped.")
                elif status == EXIT_AGAIN:
                    self._hand_back(session, each, "The database could not be used for a while.")
                elif status == EXIT_INTERRUPTED:
                    text = "Interrupted with a signal on its host."
                    self._close(session, each, StudyState.CANCELLED, text)
                else:
                    how = how_it_ended(status)
                    deaths.died(session, each.job_id, self.id, how, attempt=each.attempt)
                    self._not_before[each.asked] = self._clock() + AGAIN_AFTER_S
        except queue.LeaseLost:
            return

    def _hand_back(self, session: Session, each: _Running, why: str) -> None:
        self._close(session, each, StudyState.QUEUED, why)
        if self.is_leaving:
            queue.let_others(session, each.job_id, self.offers.class_of(each.lease))
        self._not_before[each.asked] = self._clock() + AGAIN_AFTER_S

    def _close(self, session: Session, each: _Running, state: StudyState, message: str) -> None:
        queue.end(session, each.job_id, self.id, state, message, attempt=each.attempt)

    def _obey(self) -> None:
        """End jobs that are to be cancelled, and jobs that another runner owns now."""
        if not self._running:
            return
        with self._database.read() as session:
            self.obey(repository.by_ids(session, self.to_look_up))

    @property
    def to_look_up(self) -> set[str]:
        """Ids of the jobs that ``obey`` wants to know of."""
        return {each for one in self._running for each in (one.job_id, one.asked)}

    def obey(self, jobs: Mapping[str, Job]) -> None:
        """The same, for jobs that have been read already."""
        for each in self._running:
            job, asked = jobs.get(each.job_id), jobs.get(each.asked)
            if job is not None and job.assists is not None and assisting.is_lost(job, asked):
                self._end(each, CANCEL)
            elif job is not None and (job.runner_id, job.attempt) == (self.id, each.attempt):
                if asked is not None and asked.cancel_requested:
                    self._end(each, CANCEL)
            elif job is None or job.state not in TERMINAL:
                self._end(each, LOST)

    def _end(self, each: _Running, why: str) -> None:
        if each.ending:
            return
        each.ending = why
        each.kill_at_s = self._clock() + each.grace_s
        each.process.send_signal(signal.SIGTERM if why == STOP else signal.SIGINT)

    def _grace_s(self, job: Job) -> float:
        """A fine-tuning saves a checkpoint first."""
        is_training = job.kind is JobKind.FINETUNING
        return self._settings.checkpoint_grace_s if is_training else self._settings.cancel_grace_s

    def end_all(self, why: str) -> None:
        for each in self._running:
            self._end(each, why)

    # -- jobs that wait --------------------------------------------------------------------

    def take(self, *, look: bool = True) -> list[Job]:
        """Start a job on every free device, as long as any waits; returns them. ``look``: whether
        to look first, without locking anything, if there is one."""
        now_s = self._clock()
        taken: list[Job] = []
        self._not_before = {job: at_s for job, at_s in self._not_before.items() if at_s > now_s}
        while (claimed := self._claim(look)) is not None:
            job, offer = claimed
            taken.append(job)
            self._busy_at_s = now_s
            asked = job.assists or job.id
            log.info("Job %s (%s) starts on %s.", job.id, job.trains, offer.device)
            try:
                process = self._executor.start(job, self.id, offer)
            except OSError as error:  # no memory, too many processes
                if self._executor.is_lost:
                    return taken
                with self._database.write() as session:
                    how = f"could not be started: {error.strerror or error}"
                    deaths.died(session, job.id, self.id, how, attempt=job.attempt)
                self._not_before[asked] = now_s + AGAIN_AFTER_S
                continue
            self._running.append(
                _Running(job.id, asked, job.attempt, offer.lease, process, self._grace_s(job))
            )
        return taken

    def could_take(self, wanted: Collection[Wanted]) -> bool:
        """Whether one of these jobs probably fits a free device: found without the database."""
        taken = queue.taken_of(self.offers, self._busy)
        able = self.offers.runnable(taken, groups_in(wanted))
        return any(job.fits(each) for each in able for job in wanted)

    @property
    def has_free_device(self) -> bool:
        """As far as this runner knows."""
        return bool(self.offers.leases - queue.taken_of(self.offers, self._busy))

    @property
    def _busy(self) -> set[str]:
        return {each.lease for each in self._running}

    def _claim(self, look: bool) -> tuple[Job, DeviceOffer] | None:
        assert self._record is not None
        busy, skip = self._busy, list(self._not_before)
        if look:  # most of the time there is nothing to lock for
            with self._database.read() as session:
                if not queue.is_work_for(session, self._record, busy=busy, skip=skip):
                    return None
        elif not self.has_free_device:
            return None
        try:
            with self._database.write() as session:
                claimed = queue.claim(session, self._record, busy=busy, skip=skip)
                return claimed or queue.assist(session, self._record, busy=busy, skip=skip)
        except IntegrityError:  # another runner was quicker
            return None

    # -- the end ---------------------------------------------------------------------------

    def _give_back(self) -> None:
        """End the studies, put their jobs back into the queue, and sign off."""
        self._stopping = True
        self.end_all(STOP)
        deadline_s = self._clock() + self.grace_s
        while self._running and self._clock() < deadline_s:
            self.step()
            time.sleep(0.05)
        self.sign_off()

    @property
    def grace_s(self) -> float:
        """How long it may take to end what runs."""
        settings = self._settings
        longest_s = max([settings.cancel_grace_s, *(each.grace_s for each in self._running)])
        return longest_s + settings.cancel_grace_s

    def sign_off(self) -> None:
        """Kill what still runs; if nothing does, this runner is no more."""
        for each in self._running:  # without the database: another runner will bury this one
            each.process.kill()
        if self._record is None or self._running:
            return
        try:
            with self._database.write() as session:
                runner_repository.remove(session, self.id)
        except TonnageError as error:
            log.warning("%s Another process will find that this runner has ended.", error)

    def bury(self, why: str) -> list[Job]:
        """Its node is gone: interrupt its jobs, so that others may take them at once."""
        with self._database.write() as session:
            jobs = deaths.bury(session, self.id, why, gone=True)
        self._running.clear()
        return jobs


def how_it_ended(status: int) -> str:
    """An exit status as words: ``was killed by SIGKILL``."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
