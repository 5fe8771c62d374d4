"""All SQL about jobs and their events. The rules are in ``queue`` and ``app.studies.service``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, delete, func, literal_column, or_, select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database import paging
from app.database.models.serving import JobEventRow, JobKeyRow, JobRow
from app.database.records import record_of
from app.jobs.group_lease import JOINED, holds
from app.jobs.records import Job, JobEvent, JobKind
from app.machine.asked_devices import names_group
from app.tuning.request import StudyRequest
from app.tuning.state import WAITING, StudyState

IS_WAITING = JobRow.state.in_([literal_column(f"'{state}'") for state in WAITING])
"""Written out: databases use the index of waiting jobs only where they see the states when they
plan the statement."""
OLDEST_FIRST = (JobRow.created_at, JobRow.id)
"""Ids alone do not sort jobs of different kinds: each begins with its kind."""


@dataclass(frozen=True)
class Runnable:
    """Which waiting jobs a runner could run: one of these workloads on one of these devices."""

    workloads: Collection[str]
    devices: Collection[str]
    """Everything a free device may be asked for by, in lower case."""
    best_is_free: bool
    """Whether a job that asks for no device in particular can be run now."""
    leases: Collection[str]
    """The free devices themselves."""
    classes: Collection[str] = ()
    """The classes of the free devices."""


class Request(Protocol):
    """What a job is asked."""

    @property
    def workload(self) -> str: ...

    @property
    def device_name(self) -> str | None: ...

    @property
    def key(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


def add(
    session: Session,
    job_id: str,
    request: Request,
    kind: JobKind = JobKind.STUDY,
    devices_at_once: int = 1,
    resume_on: str | None = None,
) -> JobRow:
    """Queue a job; with ``resume_on``, for this device and no other. Raises ``IntegrityError`` when
    the same request is active already."""
    row = fresh(
        id=job_id,
        kind=kind,
        request=request.to_dict(),
        active_key=request.key,
        workload=request.needs if isinstance(request, StudyRequest) else request.workload,
        device=request.device_name,
        devices_at_once=devices_at_once,
        resume_on=resume_on,
    )
    session.add(row)
    session.flush()
    return row


def fresh(**columns: Any) -> JobRow:
    """A job that is queued and has never run."""
    now = utc_now()
    return JobRow(
        state=StudyState.QUEUED,
        message="",
        deaths=0,
        cancel_requested=False,
        attempt=0,
        last_event=0,
        wall_s=0.0,
        created_at=now,
        updated_at=now,
        **columns,
    )


def add_event(session: Session, row: JobRow, kind: str, data: dict[str, Any]) -> JobEvent:
    """The next event of a job, whose row must be locked (``locked``): so ids are given out in the
    order in which they become visible, and who has read up to one has missed none before it."""
    now = utc_now()
    row.last_event += 1
    row.updated_at = now
    session.add(JobEventRow(job_id=row.id, id=row.last_event, kind=kind, data=data, created_at=now))
    session.flush()
    return JobEvent(row.last_event, kind, data, now)


def events(session: Session, job_id: str, after: int, limit: int) -> list[JobEvent]:
    """Those with a number above ``after``, oldest first."""
    rows = session.execute(
        select(JobEventRow)
        .where(JobEventRow.job_id == job_id, JobEventRow.id > after)
        .order_by(JobEventRow.id)
        .limit(limit)
    )
    return [record_of(JobEvent, row) for row in rows.scalars()]


def newest(session: Session, job: Job) -> JobEvent | None:
    """The newest event of a job; ``None`` without any."""
    return next(iter(events(session, job.id, job.last_event - 1, 1)), None)


def last_progress(session: Session, job_id: str) -> int:
    """The step of the newest ``progress`` event of a job; 0 without any."""
    row = JobEventRow
    statement = select(row.data).where(row.job_id == job_id, row.kind == "progress")
    data = session.execute(statement.order_by(row.id.desc()).limit(1)).scalar()
    return int(data["step"]) if data else 0


def newest_data(session: Session, job_id: str, kinds: Collection[str]) -> dict[str, Any] | None:
    """The data of the newest event of these kinds; ``None`` without any."""
    row = JobEventRow
    statement = select(row.data).where(row.job_id == job_id, row.kind.in_(list(kinds)))
    return session.execute(statement.order_by(row.id.desc()).limit(1)).scalar()


def find(session: Session, reference: str) -> Job | None:
    """The job of a study with this id; else the newest one that this study answers."""
    newest = select(func.max(JobRow.id)).where(JobRow.study_id == reference)
    return get(session, reference, JobKind.STUDY) or get(
        session, session.execute(newest).scalar_one() or ""
    )


def get(session: Session, job_id: str, kind: JobKind | None = None) -> Job | None:
    """The job with this id, if it is of this kind."""
    row = session.get(JobRow, job_id)
    return None if row is None or kind not in (None, row.kind) else record(row)


def page(session: Session, kind: JobKind, **wanted: Any) -> list[Job]:
    """Jobs of a kind, newest first; see ``app.database.paging.page``."""
    return [record(row) for row in paging.page(session, JobRow, kind=kind, **wanted)]


def evaluations_of(session: Session, finetuning_id: str, limit: int | None) -> list[Job]:
    """The evaluations of a fine-tuning, newest first."""
    of = JobRow.request["finetuning_id"].as_string()
    statement = select(JobRow).where(JobRow.kind == JobKind.EVALUATION, of == finetuning_id)
    rows = session.execute(statement.order_by(JobRow.id.desc()).limit(limit))
    return [record(row) for row in rows.scalars()]


def by_ids(session: Session, job_ids: Collection[str]) -> dict[str, Job]:
    """Those of the jobs that exist."""
    rows = session.execute(select(JobRow).where(JobRow.id.in_(list(job_ids))))
    return {row.id: record(row) for row in rows.scalars()}


def set_devices_at_once(session: Session, job_id: str, devices_at_once: int) -> None:
    """How many devices may work on a job from now on; 0 for all there are."""
    row = locked(session, job_id)
    if row is not None:
        row.devices_at_once = devices_at_once
        session.flush()


def locked(session: Session, job_id: str) -> JobRow | None:
    """The row, which nobody else changes until the transaction ends."""
    return session.execute(
        select(JobRow).where(JobRow.id == job_id).with_for_update()
    ).scalar_one_or_none()


def locked_with_assisted(session: Session, job_id: str) -> dict[str, JobRow]:
    """The row and, before it, that of the job it assists, both locked; by id."""
    assisted = select(JobRow.assists).where(JobRow.id == job_id).scalar_subquery()
    return _locked(session, or_(JobRow.id == job_id, JobRow.id == assisted))


def _locked(session: Session, wanted: ColumnElement[bool]) -> dict[str, JobRow]:
    """Every transaction locks what is assisted before what assists it, and otherwise in the order
    of ids, so that no two wait for each other."""
    rows = session.execute(
        select(JobRow)
        .where(wanted)
        .order_by(JobRow.assists.is_not(None), JobRow.id)
        .with_for_update()
    )
    return {row.id: row for row in rows.scalars()}


def active(session: Session, request_key: str) -> Job | None:
    """The job that is not over and asks the same."""
    row = session.execute(
        select(JobRow).where(JobRow.active_key == request_key)
    ).scalar_one_or_none()
    return None if row is None else record(row)


def counts(session: Session) -> dict[str, int]:
    """Jobs by state; states without a job are left out."""
    asked = JobRow.kind != JobKind.ASSIST
    rows = session.execute(select(JobRow.state, func.count()).where(asked).group_by(JobRow.state))
    return {row[0]: row[1] for row in rows}


def waiting(session: Session, limit: int = 1000) -> list[Job]:
    """Jobs that a runner may take, oldest first."""
    rows = session.execute(select(JobRow).where(IS_WAITING).order_by(*OLDEST_FIRST).limit(limit))
    return [record(row) for row in rows.scalars()]


def is_anything_to_do(session: Session) -> bool:
    """Whether a job waits, or a study that runs takes more devices: a look for runners that have
    nothing to do, which most of them have most of the time."""
    shared = and_(JobRow.state == StudyState.RUNNING, JobRow.devices_at_once != 1)
    statement = select(JobRow.id).where(or_(IS_WAITING, shared)).limit(1)
    return session.execute(statement).first() is not None


def how_many_wait(session: Session) -> int:
    """Jobs that a runner may take."""
    return session.execute(select(func.count()).select_from(JobRow).where(IS_WAITING)).scalar_one()


def next_waiting(
    session: Session, wanted: Collection[Runnable], skip: Collection[str], *, lock: bool
) -> JobRow | None:
    """The oldest waiting job that can be run. With ``lock`` it is kept to this transaction, and one
    that another has locked, and is therefore about to take, is passed over."""
    if not wanted:
        return None
    statement = (
        select(JobRow)
        .where(
            IS_WAITING,
            JobRow.id.not_in(list(skip)),
            or_(*(_can_run(each, utc_now()) for each in wanted)),
        )
        .order_by(*OLDEST_FIRST)
        .limit(1)
    )
    if lock:
        statement = statement.with_for_update(skip_locked=True)
    return session.execute(statement).scalar_one_or_none()


def _can_run(wanted: Runnable, now: datetime) -> ColumnElement[bool]:
    device: ColumnElement[bool] = JobRow.device.in_(list(wanted.devices))
    if wanted.best_is_free:
        device = or_(device, JobRow.device.is_(None))
    shared_with_class = of_class(wanted)
    device = or_(device, shared_with_class)
    return and_(
        JobRow.workload.in_(list(wanted.workloads)),
        device,
        or_(
            JobRow.resume_on.is_(None),
            JobRow.resume_on.in_(list(wanted.leases)),
            JobRow.resume_class.in_(list(wanted.classes)),
            JobRow.elsewhere_at <= now,
            shared_with_class,
        ),
    )


def of_class(wanted: Runnable) -> ColumnElement[bool]:
    """Whether a job may be worked on by several devices, and one of its class is free."""
    return and_(JobRow.devices_at_once != 1, JobRow.class_key.in_(list(wanted.devices)))


def by_lease(session: Session, leases: Collection[str]) -> dict[str, str]:
    """Those of the devices that a running job has, to its id: that of the study, where the device
    assists one."""
    shown = func.coalesce(JobRow.assists, JobRow.id)
    held_by_group = JobRow.lease.startswith(f"{JOINED}+", autoescape=True)
    wanted = or_(JobRow.lease.in_(list(leases)), held_by_group)
    is_running = JobRow.state == StudyState.RUNNING  # only then it has one, and few jobs are
    rows = session.execute(select(JobRow.lease, shown).where(is_running, wanted))
    held = [(lease, job_id) for lease, job_id in rows if lease is not None]
    return {one: job_id for one in leases for lease, job_id in held if holds(lease, one)}


def groups_waited_for(session: Session) -> list[str]:
    """The names of several devices that waiting jobs ask for."""
    named = select(JobRow.device).where(IS_WAITING, JobRow.device.is_not(None))
    names = session.execute(named.distinct()).scalars()
    return [name for name in names if name is not None and names_group(name)]


def running_of(session: Session, runner_id: str, *, lock: bool = True) -> list[JobRow]:
    """The jobs a runner has. With ``lock``, what they assist is locked too."""
    own = (JobRow.runner_id == runner_id, JobRow.state == StudyState.RUNNING)
    if not lock:
        return list(session.execute(select(JobRow).where(*own).order_by(JobRow.id)).scalars())
    assisted = select(JobRow.assists).where(*own, JobRow.assists.is_not(None))
    rows = _locked(session, or_(and_(*own), JobRow.id.in_(assisted)))
    return [
        row
        for row in rows.values()
        if row.runner_id == runner_id and row.state == StudyState.RUNNING
    ]


def job_of_key(session: Session, key: str) -> tuple[str, str] | None:
    """Job id and request key that an idempotency key stands for."""
    row = session.get(JobKeyRow, key)
    return None if row is None else (row.job_id, row.request_key)


def add_key(session: Session, key: str, job_id: str, request_key: str) -> None:
    """Raises ``IntegrityError`` when the key exists."""
    session.add(JobKeyRow(key=key, job_id=job_id, request_key=request_key, created_at=utc_now()))
    session.flush()


def concerning(session: Session, reference: str) -> list[JobRow]:
    """The job with this id and every job that the study with this id answers, locked."""
    statement = (
        select(JobRow)
        .where(
            JobRow.kind == JobKind.STUDY,
            or_(JobRow.id == reference, JobRow.study_id == reference),
        )
        .order_by(JobRow.id)
        .with_for_update()
    )
    return list(session.execute(statement).scalars())


def remove(session: Session, job_ids: Collection[str]) -> None:
    """Delete jobs, with their events and keys."""
    session.execute(delete(JobRow).where(JobRow.id.in_(list(job_ids))))


def record(row: JobRow) -> Job:
    kind, state = JobKind(row.kind), StudyState(row.state)
    return record_of(Job, row, kind=kind, state=state, asked=row.request)
