"""All SQL about devices that assist a study. The rules are in ``assisting``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.database.models.serving import JobRow
from app.jobs import repository
from app.jobs.records import Job, JobKind
from app.jobs.repository import Runnable
from app.tuning.state import StudyState

_Assist = aliased(JobRow)
HELPERS = (
    select(func.count())
    .where(_Assist.assists == JobRow.id, _Assist.state == StudyState.RUNNING)
    .correlate(JobRow)
    .scalar_subquery()
)


def next_to_assist(
    session: Session, wanted: Collection[Runnable], skip: Collection[str], *, lock: bool
) -> JobRow | None:
    """The running study that one of these free devices may work on too: of those with the fewest
    devices the oldest. With ``lock``, one that another transaction has locked is passed over."""
    if not wanted:
        return None
    statement = (
        select(JobRow)
        .where(
            JobRow.kind == JobKind.STUDY,
            JobRow.state == StudyState.RUNNING,
            JobRow.devices_at_once != 1,
            JobRow.study_id.is_not(None),
            JobRow.cancel_requested.is_(False),
            JobRow.id.not_in(list(skip)),
            or_(*(_can_help(each) for each in wanted)),
            or_(JobRow.devices_at_once == 0, JobRow.devices_at_once > 1 + HELPERS),
        )
        .order_by(HELPERS, JobRow.id)
        .limit(1)
    )
    if lock:
        statement = statement.with_for_update(of=JobRow, skip_locked=True)
    return session.execute(statement).scalar_one_or_none()


def _can_help(wanted: Runnable) -> Any:
    return JobRow.workload.in_(list(wanted.workloads)) & repository.of_class(wanted)


def count(session: Session, job_id: str) -> int:
    """How many devices assist a job now."""
    statement = select(func.count()).where(
        JobRow.assists == job_id, JobRow.state == StudyState.RUNNING
    )
    return session.execute(statement).scalar_one()


def refused(session: Session, leases: Collection[str], deaths: int) -> dict[str, set[str]]:
    """By device: the jobs that its processes died of this often while it assisted them."""
    rows = session.execute(
        select(JobRow.resume_on, JobRow.assists).where(
            JobRow.kind == JobKind.ASSIST,
            JobRow.state == StudyState.FAILED,
            JobRow.resume_on.in_(list(leases)),
            JobRow.deaths >= deaths,
        )
    )
    found: dict[str, set[str]] = {}
    for lease, job_id in rows:
        found.setdefault(str(lease), set()).add(str(job_id))
    return found


def of_device(session: Session, job_id: str, lease: str) -> JobRow | None:
    """What is kept of the device's earlier help with the job."""
    return session.execute(
        select(JobRow).where(JobRow.assists == job_id, JobRow.resume_on == lease)
    ).scalar_one_or_none()


def add(session: Session, assist_id: str, job: JobRow, lease: str) -> JobRow:
    """A device that is about to assist a job."""
    row = repository.fresh(
        id=assist_id,
        kind=JobKind.ASSIST,
        request=job.request,
        workload=job.workload,
        device=None,
        resume_on=lease,
        assists=job.id,
    )
    session.add(row)
    return row


def remove_ended(session: Session, job_id: str) -> None:
    """Forget the devices that have assisted a job and do so no more."""
    session.execute(
        delete(JobRow).where(JobRow.assists == job_id, JobRow.state != StudyState.RUNNING)
    )


def working_on(session: Session, job_ids: Collection[str]) -> dict[str, list[Job]]:
    """By job: the devices that assist it now, in the order in which they came."""
    if not job_ids:
        return {}
    rows = session.execute(
        select(JobRow)
        .where(JobRow.assists.in_(list(job_ids)), JobRow.state == StudyState.RUNNING)
        .order_by(JobRow.started_at, JobRow.id)
    )
    found: dict[str, list[Job]] = {}
    for row in rows.scalars():
        found.setdefault(str(row.assists), []).append(repository.record(row))
    return found
