"""The asker's side of the queue: put a job into it, find it again, have it cancelled."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from app.database import Database
from app.database.models.serving import JobRow
from app.database.upsert import write_again
from app.errors import Conflict, IdempotencyConflict, NotFound
from app.finetunings import service as finetunings
from app.ids import new_id
from app.jobs import deaths, queue, repository
from app.jobs.records import Job, JobKind
from app.jobs.repository import Request
from app.machine.asked_devices import names_group
from app.tuning.request import StudyRequest
from app.tuning.state import WAITING, StudyState
from probes.errors import InputError

PREFIXES = {
    JobKind.STUDY: "st",
    JobKind.ABLATION: "abl",
    JobKind.FINETUNING: "ftn",
    JobKind.EVALUATION: "evl",
}
"""What the ids of jobs begin with."""


def submit(
    database: Database,
    kind: JobKind,
    request: Request,
    idempotency_key: str | None = None,
    also: Callable[[Session, str], object] = lambda session, job_id: None,
) -> Job:
    """Queue a job. While the same request is queued or running, its job is the answer.

    An ``idempotency_key`` begins with who sent it and a colon. ``also`` is called with the id of a
    new job, in the transaction that stores it. Raises
    ``IdempotencyConflict`` when the key was given with another request, and ``InputError`` for a
    job that cannot run on several devices."""
    if kind is not JobKind.STUDY and names_group(request.device_name):
        raise InputError(
            f"device: {request.device_name} names several devices, and this job, a {kind}, runs on "
            "one. Name one, such as cuda:0."
        )
    return write_again(
        database,
        lambda session: _submit(session, kind, request, idempotency_key, also),
        f"The {kind} could not be queued: other processes keep asking for it too. Try again.",
    )


def known(
    session: Session, kind: JobKind, request: Request, idempotency_key: str | None
) -> Job | None:
    """The job that the key stands for, else the active one that asks the same."""
    found = repository.job_of_key(session, idempotency_key) if idempotency_key else None
    if found is None:
        return repository.active(session, request.key)
    job_id, request_key = found
    if request_key != request.key:
        raise IdempotencyConflict(
            f"The idempotency key {_as_sent(idempotency_key)!r} was used for another {kind}, "
            f"{job_id}. Use a new key for a new request."
        )
    job = repository.get(session, job_id)
    if job is None:
        raise NotFound(f"There is no {kind} {job_id}.")
    return job


def _as_sent(idempotency_key: str | None) -> str:
    """What its sender calls the key."""
    _, colon, key = (idempotency_key or "").partition(":")
    return key if colon else idempotency_key or ""


def cancel(session: Session, job_id: str, kind: JobKind) -> Job:
    """End a job of this kind; what it measured is kept.

    Its runner ends a running job within seconds; ``cancel_requested`` is set until then. Cancelling
    twice is allowed. Raises ``NotFound``, and ``Conflict`` for one that finished or failed.
    """
    deaths.bury_dead_here(session)
    row = repository.locked(session, job_id)
    if row is None or row.kind != kind:
        raise NotFound(f"There is no {kind} {job_id}.")
    if row.state in WAITING:
        queue.close(session, row, StudyState.CANCELLED, "Cancelled before it ran.")
    elif row.state == StudyState.RUNNING:
        row.cancel_requested = True
    elif row.state != StudyState.CANCELLED:
        raise Conflict(f"{kind.capitalize()} {job_id} is {row.state} already.")
    session.flush()
    return repository.record(row)


def resume(session: Session, job_id: str, kind: JobKind, key: str) -> Job:
    """Put a job that was cancelled or has failed back into the queue, for the device on which it
    ran. One that waits or runs is left alone. ``key`` is that of its request.

    Raises ``NotFound``; ``Conflict`` for one that has finished or is about to be cancelled, and
    where another job does the same now.
    """
    deaths.bury_dead_here(session)
    row = repository.locked(session, job_id)
    if row is None or row.kind != kind:
        raise NotFound(f"There is no {kind} {job_id}.")
    if row.state == StudyState.FINISHED:
        raise Conflict(f"{kind.capitalize()} {job_id} is finished already.")
    if row.state == StudyState.RUNNING and row.cancel_requested:
        raise Conflict(f"{kind.capitalize()} {job_id} is being stopped. Resume it afterwards.")
    if row.state in (StudyState.CANCELLED, StudyState.FAILED):
        other = repository.active(session, key)
        if other is not None:
            raise Conflict(f"{kind.capitalize()} {other.id} does the same and is {other.state}.")
        _reopen(session, row, key)
    return repository.record(row)


def _reopen(session: Session, row: JobRow, key: str) -> None:
    """Put a locked job that is over back into the queue. What it began lies on the host where it
    ran, so it waits for the device there."""
    row.state = StudyState.QUEUED
    row.message, row.active_key = "", key
    row.deaths, row.cancel_requested = 0, False
    row.finished_at = row.elsewhere_at = None
    repository.add_event(session, row, "queued", {"message": "Resumed."})
    if row.kind == JobKind.FINETUNING:
        finetunings.follow_job(session, row.id, StudyState.QUEUED, "")


def _submit(
    session: Session,
    kind: JobKind,
    request: Request,
    idempotency_key: str | None,
    also: Callable[[Session, str], object],
) -> Job:
    job = known(session, kind, request, idempotency_key)
    most = request.most_devices if isinstance(request, StudyRequest) else 1
    if job is not None and not job.is_over and _more(most, job.devices_at_once):
        repository.set_devices_at_once(session, job.id, most)
    if job is None:
        job = add(session, kind, request, most)
        also(session, job.id)
    keep_key(session, idempotency_key, job.id, request.key)
    return job


def add(
    session: Session,
    kind: JobKind,
    request: Request,
    devices_at_once: int = 1,
    *,
    resume_on: str | None = None,
) -> Job:
    """Queue a new job; with ``resume_on``, for that device and no other. Raises ``IntegrityError``
    when the same request is active already."""
    job_id = new_id(PREFIXES[kind])
    row = repository.add(session, job_id, request, kind, devices_at_once, resume_on)
    repository.add_event(session, row, "queued", {"message": ""})
    return repository.record(row)


def keep_key(session: Session, idempotency_key: str | None, job_id: str, request_key: str) -> None:
    """Let an idempotency key stand for the job from now on."""
    if idempotency_key and repository.job_of_key(session, idempotency_key) is None:
        repository.add_key(session, idempotency_key, job_id, request_key)


def _more(wanted: int, now: int) -> bool:
    """Whether more devices may work on it than now; 0 is all there are."""
    return now != 0 and (wanted == 0 or wanted > now)
