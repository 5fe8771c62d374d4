"""The runner's side of the queue: take a job, report on it, end it, give it back, take it over.

Every function is one step inside the caller's writing transaction. The database itself guarantees
two facts under concurrency: one active job per request (``active_key``) and one running job per
device (``lease``).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.serving import JobRow
from app.finetunings import service as finetunings
from app.jobs import assist_repository, assisting, repository, runner_repository
from app.jobs.group_lease import holds
from app.jobs.offers import DeviceOffer, Offers
from app.jobs.records import Job, JobKind
from app.jobs.runner_repository import RunnerRecord
from app.tuning import claims
from app.tuning import repository as studies
from app.tuning.owner import Owner, this_place
from app.tuning.state import WAITING, StudyState
from probes.errors import TonnageError

MAX_DEATHS = 3
"""A job whose process died this often in a row, without a new measurement, fails."""

ELSEWHERE_AFTER = timedelta(minutes=10)
"""How long an interrupted job waits for the device it was measured on. Measurements are valid only
there: on another device the study starts over."""

PROGRESS = ("measured", "settled", "evidence", "progress")
"""Events that show that a job makes progress."""


AGAIN = {
    JobKind.STUDY: "start the study again: it resumes where it stopped.",
    JobKind.FINETUNING: "resume it: it continues from its last checkpoint.",
    JobKind.EVALUATION: "start the evaluation again: the rows that were made are kept.",
}
"""What to do about a job that has failed after several deaths."""


class LeaseLost(TonnageError):
    """This attempt does not own the job any more: its runner was taken for dead, the job was taken
    again, or it was deleted."""


def claim(
    session: Session,
    runner: RunnerRecord,
    *,
    busy: Collection[str] = (),
    skip: Collection[str] = (),
) -> tuple[Job, DeviceOffer] | None:
    """Take the oldest waiting job that this runner can run now; ``None`` if no job waits for it.

    ``busy`` are devices not to use, ``skip`` jobs not to take. Raises ``IntegrityError`` when
    another runner takes the device at the same moment.
    """
    taken = _taken(session, runner, busy)
    row = _next(session, runner, taken, skip, lock=True)
    if row is None:
        return None
    offer = _offer_for(row, runner, taken)
    if offer is None:
        return None
    row.state = StudyState.RUNNING
    row.message = ""
    row.runner_id = runner.id
    row.lease = row.resume_on = offer.lease
    row.class_key = offer.class_key or None
    row.runs_on = assisting.place_of(runner, offer)
    row.resume_class = None
    row.attempt += 1
    row.started_at = utc_now()
    data = {**row.runs_on, "attempt": row.attempt}
    repository.add_event(session, row, "started", data)
    return repository.record(row), offer


def assist(
    session: Session,
    runner: RunnerRecord,
    *,
    busy: Collection[str] = (),
    skip: Collection[str] = (),
) -> tuple[Job, DeviceOffer] | None:
    """Let a free device assist a study that runs; see ``claim``, which comes first."""
    return assisting.claim(session, runner, _taken(session, runner, busy), skip)


def _offer_for(row: JobRow, runner: RunnerRecord, taken: Collection[str]) -> DeviceOffer | None:
    """The free device for a job. A study of several devices goes on on any of its class."""
    choose = runner.offers.choose
    if row.devices_at_once != 1 and row.class_key is not None:
        offer = choose(row.workload, row.class_key, row.resume_on, taken)
        if offer is not None:
            return offer
    return choose(row.workload, row.device, row.resume_on, taken)


def is_work_for(
    session: Session,
    runner: RunnerRecord,
    *,
    busy: Collection[str] = (),
    skip: Collection[str] = (),
) -> bool:
    """Whether ``claim`` or ``assist`` might find something: a look that locks nothing."""
    if not repository.is_anything_to_do(session):
        return False
    taken = _taken(session, runner, busy)
    if _next(session, runner, taken, skip, lock=False) is not None:
        return True
    return assisting.is_wanted(session, runner, taken, skip)


def _next(
    session: Session,
    runner: RunnerRecord,
    taken: Collection[str],
    skip: Collection[str],
    *,
    lock: bool,
) -> JobRow | None:
    """The oldest waiting job that this runner can run. A fine-tuning names data too, which the
    database is not asked for."""
    groups = repository.groups_waited_for(session)
    wanted, passed = runner.offers.runnable(taken, groups), list(skip)
    while True:
        row = repository.next_waiting(session, wanted, passed, lock=lock)
        if row is None or runner.offers.has(repository.record(row)):
            return row
        passed.append(row.id)


def _taken(session: Session, runner: RunnerRecord, busy: Collection[str]) -> set[str]:
    own = taken_of(runner.offers, busy)
    return {*repository.by_lease(session, runner.offers.leases), *own, *busy}


def taken_of(offers: Offers, busy: Collection[str]) -> set[str]:
    """The leases of the devices that leases in use stand for, which may be those of groups."""
    return {lease for lease in offers.leases for each in busy if holds(each, lease)}


def report(
    session: Session,
    job_id: str,
    runner_id: str,
    kind: str,
    data: dict[str, Any],
    *,
    attempt: int | None = None,
) -> None:
    """Add an event of a running job; that of a device that assists is an event of the study's job.
    Raises ``LeaseLost``."""
    row = owned(session, job_id, runner_id, attempt)
    if kind in PROGRESS:
        row.deaths = 0
    shown = row if row.assists is None else session.get_one(JobRow, row.assists)
    repository.add_event(session, shown, kind, data)


def opened(
    session: Session,
    job_id: str,
    runner_id: str,
    study_id: str,
    pid: int,
    *,
    attempt: int | None = None,
) -> None:
    """Which study answers the job, and which process runs it. Raises ``LeaseLost``."""
    row = owned(session, job_id, runner_id, attempt)
    row.study_id = study_id
    row.pid = pid
    session.flush()


def running(
    session: Session, job_id: str, runner_id: str, pid: int, *, attempt: int | None = None
) -> None:
    """Which process runs a job that opens no study. Raises ``LeaseLost``."""
    owned(session, job_id, runner_id, attempt).pid = pid
    session.flush()


def end(
    session: Session,
    job_id: str,
    runner_id: str,
    state: StudyState,
    message: str = "",
    data: dict[str, Any] | None = None,
    *,
    attempt: int | None = None,
) -> None:
    """A job is over, or goes back to the queue, unless it was to be cancelled. Raises
    ``LeaseLost``."""
    row = _held(session, job_id, runner_id, attempt)
    _release_dead_study(session, row)
    if state == StudyState.QUEUED and row.cancel_requested:
        state, message = StudyState.CANCELLED, "Cancelled."
    close(session, row, state, message, data)


def let_others(session: Session, job_id: str, class_key: str | None) -> None:
    """A job was given back by a device that goes away: another of the class may have it at once."""
    row = repository.locked(session, job_id)
    if row is not None and row.state in WAITING and not _is_bound(row):
        row.resume_class = class_key


def died(
    session: Session, job_id: str, runner_id: str, how: str, *, attempt: int | None = None
) -> None:
    """A job's process ended without storing why: interrupt the job so that it is tried again, or
    fail it. Raises ``LeaseLost``."""
    row = _held(session, job_id, runner_id, attempt)
    _release_dead_study(session, row)
    _after_death(session, row, f"Its process {how}.")


def bury(session: Session, runner_id: str, why: str = "", *, gone: bool = False) -> list[Job]:
    """Remove a dead runner: its jobs are interrupted, and another runner may take them at once.

    ``gone``: its devices are gone too, so that nothing is gained by waiting for them: any device of
    the same class may take over at once, and every other after the usual time. ``why`` is a
    sentence about the runner's end.

    Returns the jobs as they are now. Does nothing if the runner has been removed already.
    """
    runner = runner_repository.locked(session, runner_id)
    if runner is None:
        return []
    jobs = []
    for row in repository.running_of(session, runner_id):
        _release_study(session, row, runner)
        ended = f"Its runner (process {runner.owner.pid} of {runner.owner.host}) ended."
        if gone and not _is_bound(row):
            row.resume_class = row.class_key
        _after_death(session, row, why or ended)
        if row.kind != JobKind.ASSIST:
            jobs.append(repository.record(row))
    runner_repository.remove(session, runner_id)
    return jobs


def bury_dead_here(session: Session, but: Collection[str] = ()) -> list[Job]:
    """Bury the runners whose process has ended, as far as this process can see (``this_place``).
    ``but``: ids of runners that are looked after otherwise.
    The processes of a runner's jobs end a moment after it: a runner is buried when they have."""
    place = this_place()
    dead = [
        runner.id
        for runner in runner_repository.listing(session)
        if runner.id not in but
        and runner.has_ended_at(place)
        and not _still_runs(session, runner.id)
    ]
    return [job for runner_id in dead for job in bury(session, runner_id)]


def owned(session: Session, job_id: str, runner_id: str, attempt: int | None = None) -> JobRow:
    """The row of a job that this runner runs, locked. Raises ``LeaseLost``, also for an ``attempt``
    that is not the present one: the same runner may have taken the job again in the meantime.
    (Without ``attempt``, whichever one the runner runs.) A device that assists a study owns its job
    as long as the study wants what it measures."""
    row = _held(session, job_id, runner_id, attempt)
    if row.assists is not None:
        lost = assisting.is_lost(row, session.get(JobRow, row.assists))
        if lost:
            raise LeaseLost(f"Job {job_id} assists {row.assists} no more. {lost}")
    return row


def _held(session: Session, job_id: str, runner_id: str, attempt: int | None) -> JobRow:
    rows = repository.locked_with_assisted(session, job_id)
    row = rows.get(job_id)
    if row is None or row.state != StudyState.RUNNING or row.runner_id != runner_id:
        raise LeaseLost(f"Job {job_id} is not run by {runner_id} any more.")
    if attempt not in (None, row.attempt):
        raise LeaseLost(
            f"Job {job_id} was taken again: attempt {row.attempt} runs now, and what attempt "
            f"{attempt} reports is not stored."
        )
    return row


def close(
    session: Session,
    row: JobRow,
    state: StudyState,
    message: str,
    data: dict[str, Any] | None = None,
) -> None:
    """Put a locked job into a state in which no runner has it."""
    if row.kind == JobKind.ASSIST:
        if state is StudyState.FAILED:
            row.deaths = max(row.deaths, assisting.MAX_DEATHS)
        assisting.leave(session, row, session.get(JobRow, row.assists), state, message)
        return
    now = utc_now()
    if row.state == StudyState.RUNNING and row.started_at is not None:
        row.wall_s += max(0.0, (now - row.started_at).total_seconds())
    row.state = state
    row.message = message
    row.runner_id = row.lease = row.pid = row.runs_on = None
    row.elsewhere_at = None if _is_bound(row) else now + ELSEWHERE_AFTER
    if state.is_terminal:
        row.active_key = None
        row.finished_at = now
        if row.devices_at_once != 1:
            assist_repository.remove_ended(session, row.id)
    repository.add_event(session, row, str(state), {"message": message, **(data or {})})
    if row.kind == JobKind.FINETUNING:
        finetunings.follow_job(session, row.id, state, message)
    elif row.kind == JobKind.EVALUATION:
        finetunings.touch(session, row.request["finetuning_id"])


def reopen(session: Session, row: JobRow, key: str) -> None:
    """Put a locked job that is over back into the queue. What it began lies on the host where it
    ran, so it waits for the device there."""
    row.state = StudyState.QUEUED
    row.message, row.active_key = "", key
    row.deaths, row.cancel_requested = 0, False
    row.finished_at = row.elsewhere_at = None
    repository.add_event(session, row, "queued", {"message": "Resumed."})
    if row.kind == JobKind.FINETUNING:
        finetunings.follow_job(session, row.id, StudyState.QUEUED, "")


def _after_death(session: Session, row: JobRow, what: str) -> None:
    row.deaths += 1
    if row.kind == JobKind.ASSIST:
        job = session.get(JobRow, row.assists)
        assisting.leave(session, row, job, StudyState.FAILED, what)
    elif row.cancel_requested:
        close(session, row, StudyState.CANCELLED, "Cancelled.")
    elif row.deaths >= MAX_DEATHS:
        close(
            session,
            row,
            StudyState.FAILED,
            f"{what} That happened {row.deaths} times in a row without a new measurement, so it "
            "was not tried again. Look at the runner's log and at the memory of its host, then "
            f"{AGAIN.get(JobKind(row.kind), AGAIN[JobKind.STUDY])}",
        )
    else:
        close(session, row, StudyState.INTERRUPTED, f"{what} The next runner resumes it.")


def _is_bound(row: JobRow) -> bool:
    """Whether it can run on one host only, that with the folder of what it evaluates."""
    return row.kind == JobKind.EVALUATION


def _still_runs(session: Session, runner_id: str) -> bool:
    """Whether a process of one of its jobs has not ended yet, as far as can be seen."""
    for row in repository.running_of(session, runner_id, lock=False):
        study_id = _study_id(session, row)
        owners = claims.holders(session, study_id) if row.assists is not None else []
        owner = _owner_of_study(session, row)
        for each in [*owners, *([] if owner is None else [owner])]:
            if each.pid == row.pid and each.is_here and each.is_alive():
                return True
    return False


def _release_study(session: Session, row: JobRow, runner: RunnerRecord) -> None:
    """The process of the study ended with the runner, so the study and its claims are released at
    once instead of after a long silence."""
    if runner.place == this_place():
        _release_dead_study(session, row)
        return
    study_id = _study_id(session, row)
    if row.pid is not None:
        claims.release_process(session, study_id, runner.owner.host, row.pid)
    owner = _owner_of_study(session, row)
    if owner is not None and owner.host == runner.owner.host and owner.pid == row.pid:
        studies.close(session, study_id, StudyState.INTERRUPTED, "Its runner ended.", 0.0)


def _release_dead_study(session: Session, row: JobRow) -> None:
    """Release a study whose process has ended: a process that was killed could not do so itself."""
    study_id = _study_id(session, row)
    if row.kind == JobKind.ASSIST:
        claims.release_all(session, study_id, None)
        return
    owner = _owner_of_study(session, row)
    if owner is not None and owner.is_here and not owner.is_alive():
        studies.close(session, study_id, StudyState.INTERRUPTED, "Its process ended.", 0.0)


def _owner_of_study(session: Session, row: JobRow) -> Owner | None:
    """The stored owner of the job's study; ``None`` if the study is not running."""
    study = studies.get(session, _study_id(session, row))
    return study.owner if study is not None and study.state == StudyState.RUNNING else None


def _study_id(session: Session, row: JobRow) -> str:
    """A new study has the job's id, also in the moment before the job knows."""
    job = row if row.assists is None else session.get(JobRow, row.assists)
    return row.id if job is None else job.study_id or job.id
