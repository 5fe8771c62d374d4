"""The asker's side of the queue: put a job into it, find it again, have it cancelled."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from app.database import Database
from app.database.upsert import write_again
from app.errors import Conflict, IdempotencyConflict, NotFound
from app.ids import new_id
from app.jobs import queue, repository
from app.jobs.records import Job, JobKind
from app.jobs.repository import Request
from app.machine.asked_devices import names_group
from app.tuning.request import StudyRequest
from app.tuning.state import WAITING, StudyState
from probes.errors import InputError

PREFIXES = {JobKind.STUDY: "st", JobKind.ABLATION: "abl", JobKind.FINETUNING: "ftn"}
"""What the ids of jobs begin with."""


def submit(
    database: Database,
    kind: JobKind,
    request: Request,
    idempotency_key: str | None = None,
    also: Callable[[Session, str], object] = lambda session, job_id: None,
) -> Job:
    """Queue a job. While the same request is queued or running, its job is the answer.

    ``also`` is called with the id of a new job, in the transaction that stores it. Raises
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
            f"The idempotency key {idempotency_key!r} was used for another {kind}, {job_id}. "
            "Use a new key for a new request."
        )
    job = repository.get(session, job_id)
    if job is None:
        raise NotFound(f"There is no {kind} {job_id}.")
    return job


def cancel(session: Session, job_id: str, kind: JobKind) -> Job:
    """End a job of this kind; what it measured is kept.

    Its runner ends a running job within seconds; ``cancel_requested`` is set until then. Cancelling
    twice is allowed. Raises ``NotFound``, and ``Conflict`` for one that finished or failed.
    """
    queue.bury_dead_here(session)
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
        row = repository.add(session, new_id(PREFIXES[kind]), request, kind, most)
        repository.add_event(session, row, "queued", {"message": ""})
        also(session, row.id)
        job = repository.record(row)
    if idempotency_key and repository.job_of_key(session, idempotency_key) is None:
        repository.add_key(session, idempotency_key, job.id, request.key)
    return job


def _more(wanted: int, now: int) -> bool:
    """Whether more devices may work on it than now; 0 is all there are."""
    return now != 0 and (wanted == 0 or wanted > now)
