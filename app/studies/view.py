"""A study as people see it, from the moment it was queued to its recommendation."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.database import Database
from app.errors import NotFound
from app.jobs import repository as jobs
from app.jobs.records import Job
from app.recommendations import repository as recommendations
from app.studies import view_repository
from app.studies.waiting import waits_for
from app.tuning import repository
from app.tuning.repository import StudyRecord
from app.tuning.state import StudyState
from optimizer.records import Trial


@dataclass(frozen=True)
class StudyView:
    """A study, and the job that runs it where there is one."""

    id: str
    state: StudyState
    workload: str
    budget: str
    device: str | None
    """``None`` until a runner has chosen one."""
    fingerprint: str | None
    message: str
    """Why it failed, found nothing or was interrupted, or what it waits for."""
    request: dict[str, Any] | None
    """What was asked for; ``None`` for a study of the command line."""
    answered_by: str | None
    """The study that has the trials: this one, or an older one that asked the same."""
    recommendation_id: str | None
    cancel_requested: bool
    wall_s: float
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Device(NamedTuple):
    fingerprint: str
    name: str


def get(database: Database, study_id: str) -> StudyView:
    """By the id that starting it gave, or that ``tonnage tune`` printed. Raises ``NotFound``."""
    with database.read() as session:
        found = _views(session, [study_id])
        job = jobs.get(session, study_id)
    if not found:
        raise NotFound(f"There is no study {study_id}.")
    view = found[0]
    if job is not None and not view.message:
        view = replace(view, message=waits_for(database, job))
    return view


def page(
    database: Database,
    *,
    state: str | None = None,
    workload: str | None = None,
    budget: str | None = None,
    before: str | None = None,
    limit: int,
) -> list[StudyView]:
    """Newest first."""
    with database.read() as session:
        ids = view_repository.ids(
            session, state=state, workload=workload, budget=budget, before=before, limit=limit
        )
        return _views(session, ids)


def trials(database: Database, study_id: str) -> list[Trial]:
    """Settled trials of a study, in the order of their numbers. Raises ``NotFound``."""
    answered_by = get(database, study_id).answered_by
    if answered_by is None:
        return []
    with database.read() as session:
        return repository.trials(session, answered_by)


def counts_by_state(database: Database) -> dict[str, int]:
    """States that nothing is in are left out."""
    with database.read() as session:
        return view_repository.counts_by_state(session)


def busy_s_by_device(database: Database) -> dict[Device, float]:
    """Time that studies have spent on each device, those under way included."""
    with database.read() as session:
        ended = view_repository.wall_s_by_device(session)
        running = view_repository.running_since(session)
    busy_s: dict[Device, float] = defaultdict(float)
    for (key, name), wall_s in ended.items():
        busy_s[Device(key, name)] += wall_s
    for key, name, began_s in running:
        busy_s[Device(key, name)] += max(time.time() - began_s, 0.0)
    return dict(busy_s)


def _views(session: Session, ids: list[str]) -> list[StudyView]:
    """In the order of ``ids``; ids of nothing are left out."""
    known_jobs = jobs.by_ids(session, ids)
    answers = {job.study_id or job.id for job in known_jobs.values()}
    studies = view_repository.studies_of(session, {*ids, *answers})
    ends = recommendations.ids_of_studies(session, list(studies))
    views = []
    for each in ids:
        job = known_jobs.get(each)
        study = studies.get(each if job is None else job.study_id or job.id)
        if job is not None:
            views.append(_of_job(job, study, ends))
        elif study is not None:
            views.append(_of_study(study, ends))
    return views


def _of_job(job: Job, study: StudyRecord | None, ends: dict[str, str]) -> StudyView:
    return StudyView(
        id=job.id,
        state=job.state,
        workload=job.request.workload,
        budget=job.request.budget,
        device=study.device if study else job.request.device,
        fingerprint=study.fingerprint if study else None,
        message=job.message,
        request=job.request.to_dict(),
        answered_by=study.id if study else None,
        recommendation_id=ends.get(study.id)
        if study and job.state == StudyState.FINISHED
        else None,
        cancel_requested=job.cancel_requested,
        wall_s=job.wall_s,
        created_at=job.created_at,
        updated_at=job.updated_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _of_study(study: StudyRecord, ends: dict[str, str]) -> StudyView:
    return StudyView(
        id=study.id,
        state=study.state,
        workload=study.workload,
        budget=study.budget,
        device=study.device,
        fingerprint=study.fingerprint,
        message=study.message,
        request=None,
        answered_by=study.id,
        recommendation_id=ends.get(study.id),
        cancel_requested=False,
        wall_s=study.wall_s,
        created_at=study.created_at,
        updated_at=study.updated_at,
        started_at=study.created_at,
        finished_at=study.finished_at,
    )
