"""A study as people see it, from the moment it was queued to its recommendation."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.database import Database
from app.errors import NotFound
from app.jobs import assist_repository
from app.jobs import repository as jobs
from app.jobs.records import Job, JobKind
from app.jobs.waiting import waits_for, waits_while_running
from app.recommendations import repository as recommendations
from app.studies import view_repository
from app.studies.schemas import StudyDeviceOut, StudyOut
from app.tuning import repository
from app.tuning.repository import StudyRecord
from app.tuning.state import StudyState
from optimizer.records import Trial


def get(database: Database, study_id: str) -> StudyOut:
    """By the id that starting it gave, or that ``tonnage tune`` printed. Raises ``NotFound``."""
    with database.read() as session:
        found = _views(session, [study_id])
        job = jobs.get(session, study_id, JobKind.STUDY)
        told = jobs.newest(session, job) if job is not None else None
    if not found:
        raise NotFound(f"There is no study {study_id}.")
    view = found[0]
    if job is not None and not view.message:
        message = waits_for(database, job) or waits_while_running(job, told)
        view = view.model_copy(update={"message": message})
    return view


def page(database: Database, *, limit: int, **wanted: str | None) -> list[StudyOut]:
    """Newest first. ``wanted`` may have the ``state``, the ``workload`` and the ``budget``, and
    ``before``: the id of the last study on the previous page."""
    with database.read() as session:
        return _views(session, view_repository.ids(session, limit=limit, **wanted))


def jobs_in(database: Database, state: StudyState, *, limit: int) -> list[StudyOut]:
    """Those that a runner runs, newest first."""
    with database.read() as session:
        return _views(session, view_repository.ids_of_jobs(session, state, limit=limit))


def trials(database: Database, study_id: str) -> list[Trial]:
    """Settled trials of a study, in the order of their numbers. Raises ``NotFound``."""
    answered_by = get(database, study_id).answered_by
    with database.read() as session:
        return repository.trials(session, answered_by or "")


def _views(session: Session, ids: list[str]) -> list[StudyOut]:
    """In the order of ``ids``; an id that does not exist is left out."""
    found = jobs.by_ids(session, ids).items()
    known_jobs = {each: job for each, job in found if job.kind is JobKind.STUDY}
    answers = {job.study_id or job.id for job in known_jobs.values()}
    studies = view_repository.studies_of(session, {*ids, *answers})
    helpers = assist_repository.working_on(
        session, [job.id for job in known_jobs.values() if job.is_shared and not job.is_over]
    )
    ends = recommendations.ids_of_studies(session, list(studies))
    views = []
    for each in ids:
        job = known_jobs.get(each)
        study = studies.get(each if job is None else job.study_id or job.id)
        own = job or study
        if own is not None:
            views.append(_view(own, study, ends, helpers.get(each, [])))
    return views


def _view(
    own: Job | StudyRecord,
    study: StudyRecord | None,
    ends: dict[str, str],
    helpers: Sequence[Job],
) -> StudyOut:
    """``own`` has the id: a job, or a study of the command line. ``study`` answers it, ``helpers``
    are the devices that assist it."""
    job = own if isinstance(own, Job) else None
    asked = own.request if isinstance(own, Job) else own
    has_ended = job is None or job.state is StudyState.FINISHED
    return StudyOut(
        id=own.id,
        state=own.state,
        workload=asked.workload,
        budget=asked.budget,
        device=study.device if study else asked.device,
        fingerprint=study.fingerprint if study else None,
        message=own.message,
        request=job.request.to_dict() if job else None,
        answered_by=study.id if study else None,
        recommendation_id=ends.get(study.id) if study and has_ended else None,
        cancel_requested=job is not None and job.cancel_requested,
        attempt=job.attempt if job else None,
        devices=[
            StudyDeviceOut(
                **each.runs_on,
                role="owner" if each is job else "assistant",
                since=each.started_at,
            )
            for each in (job, *helpers)
            if each is not None and each.runs_on is not None
        ],
        wall_s=own.wall_s,
        created_at=own.created_at,
        updated_at=own.updated_at,
        started_at=job.started_at if job else own.created_at,
        finished_at=own.finished_at,
    )
