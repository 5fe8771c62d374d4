"""The runner's side of the queue: take a job, report on it, end it, give it back. ``deaths`` takes
it over from a runner that died.

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
from app.jobs import assist_repository, assisting, repository
from app.jobs.group_lease import holds
from app.jobs.offers import DeviceOffer, Offers
from app.jobs.records import Job, JobKind
from app.jobs.runner_repository import RunnerRecord
from app.tuning import claims
from app.tuning import repository as studies
from app.tuning.owner import Owner
from app.tuning.state import WAITING, StudyState
from probes.errors import TonnageError

ELSEWHERE_AFTER = timedelta(minutes=10)
"""How long an interrupted job waits for the device it was measured on. Measurements are valid only
there: on another device the study starts over."""

PROGRESS = ("measured", "settled", "evidence", "progress")
"""Events that show that a job makes progress."""


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
    row = held(session, job_id, runner_id, attempt)
    release_dead_study(session, row)
    if state == StudyState.QUEUED and row.cancel_requested:
        state, message = StudyState.CANCELLED, "Cancelled."
    close(session, row, state, message, data)


def let_others(session: Session, job_id: str, class_key: str | None) -> None:
    """A job was given back by a device that goes away: another of the class may have it at once."""
    row = repository.locked(session, job_id)
    if row is not None and row.state in WAITING and not is_bound(row):
        row.resume_class = class_key


def owned(session: Session, job_id: str, runner_id: str, attempt: int | None = None) -> JobRow:
    """The row of a job that this runner runs, locked. Raises ``LeaseLost``, also for an ``attempt``
    that is not the present one: the same runner may have taken the job again in the meantime.
    (Without ``attempt``, whichever one the runner runs.) A device that assists a study owns its job
    as long as the study wants what it measures."""
    row = held(session, job_id, runner_id, attempt)
    if row.assists is not None:
        lost = assisting.is_lost(row, session.get(JobRow, row.assists))
        if lost:
            raise LeaseLost(f"Job {job_id} assists {row.assists} no more. {lost}")
    return row


def held(session: Session, job_id: str, runner_id: str, attempt: int | None) -> JobRow:
    """As ``owned``, also for a device that assists a study which wants nothing more of it."""
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
    row.elsewhere_at = None if is_bound(row) else now + ELSEWHERE_AFTER
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


def is_bound(row: JobRow) -> bool:
    """Whether it can run on one host only, that with the folder of what it evaluates."""
    return row.kind == JobKind.EVALUATION


def release_dead_study(session: Session, row: JobRow) -> None:
    """Release a study whose process has ended: a process that was killed could not do so itself."""
    study_id = study_of(session, row)
    if row.kind == JobKind.ASSIST:
        claims.release_all(session, study_id, None)
        return
    owner = owner_of_study(session, row)
    if owner is not None and owner.is_here and not owner.is_alive():
        studies.close(session, study_id, StudyState.INTERRUPTED, "Its process ended.", 0.0)


def owner_of_study(session: Session, row: JobRow) -> Owner | None:
    """The stored owner of the job's study; ``None`` if the study is not running."""
    study = studies.get(session, study_of(session, row))
    return study.owner if study is not None and study.state == StudyState.RUNNING else None


def study_of(session: Session, row: JobRow) -> str:
    """A new study has the job's id, also in the moment before the job knows."""
    job = row if row.assists is None else session.get(JobRow, row.assists)
    return row.id if job is None else job.study_id or job.id
