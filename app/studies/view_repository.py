"""All SQL about studies and jobs together: people see them as one thing.

A job has the id of the study that it begins, so that a study is there from the moment it was asked
for. One that ``tonnage tune`` began has no job; a job that an older study answers has no study of
its own id.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, func, or_, select, union_all
from sqlalchemy.orm import Session, joinedload

from app.clock import utc_now
from app.database.models.results import DeviceRow, StudyRow, WorkloadRow
from app.database.models.serving import JobRow
from app.database.paging import newest_first
from app.jobs.records import JobKind
from app.tuning.repository import StudyRecord, record
from app.tuning.request import BUNDLED
from app.tuning.state import StudyState


def ids(
    session: Session,
    *,
    state: str | None = None,
    workload: str | None = None,
    budget: str | None = None,
    before: str | None = None,
    limit: int,
) -> list[str]:
    """Ids of jobs, and of studies without a job of their id, newest first."""
    job, study = JobRow, StudyRow
    wanted = {
        job.kind: JobKind.STUDY,
        job.state: state,
        job.request["budget"].as_string(): budget,
    }
    asked = select(job.id)
    if workload is not None:
        label = job.request["workload"].as_string()
        sent = and_(job.workload == BUNDLED, label == workload)
        asked = asked.where(or_(job.workload == workload, sent))
    jobs = newest_first(asked, job.id, wanted, before=before, limit=limit)
    wanted = {study.state: state, WorkloadRow.reference: workload, study.budget: budget}
    studies = select(study.id).join(WorkloadRow).where(_has_no_job())
    studies = newest_first(studies, study.id, wanted, before=before, limit=limit)
    both = union_all(jobs.subquery().select(), studies.subquery().select()).subquery()
    statement = select(both.c.id).order_by(both.c.id.desc()).limit(limit)
    return list(session.execute(statement).scalars())


def ids_of_jobs(session: Session, state: StudyState, *, limit: int) -> list[str]:
    """Ids of jobs, newest first."""
    wanted = {JobRow.kind: JobKind.STUDY, JobRow.state: state}
    found = newest_first(select(JobRow.id), JobRow.id, wanted, before=None, limit=limit)
    return list(session.execute(found).scalars())


def studies_of(session: Session, study_ids: Collection[str]) -> dict[str, StudyRecord]:
    """Those of the studies that exist."""
    rows = session.execute(
        select(StudyRow)
        .options(joinedload(StudyRow.workload), joinedload(StudyRow.device))
        .where(StudyRow.id.in_(list(study_ids)))
    )
    return {row.id: record(row) for row in rows.scalars()}


def counts_by_state(session: Session) -> dict[str, int]:
    """States that nothing is in are left out."""
    counted: dict[str, int] = {}
    for statement in (
        select(JobRow.state, func.count())
        .where(JobRow.kind == JobKind.STUDY)
        .group_by(JobRow.state),
        select(StudyRow.state, func.count()).where(_has_no_job()).group_by(StudyRow.state),
    ):
        for state, count in session.execute(statement):
            counted[state] = counted.get(state, 0) + count
    return counted


def busy_s_by_device(session: Session) -> dict[tuple[str, str], float]:
    """Fingerprint and name of each device to the time that studies have spent on it: runs that have
    ended, and jobs that run now."""
    device = (DeviceRow.key, DeviceRow.name)
    ended = session.execute(
        select(*device, func.sum(StudyRow.wall_s)).join(StudyRow.device).group_by(*device)
    )
    busy_s = {(key, name): float(wall_s) for key, name, wall_s in ended}
    running = session.execute(
        select(*device, JobRow.started_at)
        .join(StudyRow.device)
        .join(JobRow, JobRow.study_id == StudyRow.id)
        .where(JobRow.state == StudyState.RUNNING)
    )
    for key, name, began in running:
        if began is not None:
            busy_s[key, name] += max((utc_now() - began).total_seconds(), 0.0)
    return busy_s


def _has_no_job() -> ColumnElement[bool]:
    return ~select(JobRow.id).where(JobRow.id == StudyRow.id).exists()
