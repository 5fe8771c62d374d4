"""All SQL of forgetting: which rows are old and needed by nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.database.models import (
    CheckRow,
    JobRow,
    MeasurementRow,
    RecommendationRow,
    StudyMeasurementRow,
    StudyRow,
)
from app.tuning.state import ACTIVE, TERMINAL

Delete = Callable[[Session, datetime, int], int]
"""Deletes at most so many rows from before then; returns how many."""


def old_jobs(before: datetime) -> Select[Any]:
    return select(JobRow.id).where(JobRow.state.in_(TERMINAL), JobRow.finished_at < before)


def old_studies(before: datetime) -> Select[Any]:
    """Not one that has an answer, or that a job is to go on with. One that is being run stores
    something more often than that."""
    answered = exists().where(RecommendationRow.study_id == StudyRow.id)
    awaited = exists().where(JobRow.study_id == StudyRow.id, JobRow.state.in_(ACTIVE))
    return select(StudyRow.id).where(StudyRow.updated_at < before, ~answered, ~awaited)


def old_measurements(before: datetime) -> Select[Any]:
    """Not one that a study used which stays."""
    used = aliased(StudyMeasurementRow)
    stays = exists().where(
        used.measurement_id == MeasurementRow.id, used.study_id.not_in(old_studies(before))
    )
    owner_stays = and_(
        MeasurementRow.study_id.is_not(None),
        MeasurementRow.study_id.not_in(old_studies(before)),
    )
    return select(MeasurementRow.id).where(
        MeasurementRow.created_at < before, ~or_(stays, owner_stays)
    )


def old_checks(before: datetime) -> Select[Any]:
    return select(CheckRow.id).where(CheckRow.created_at < before)


def count(session: Session, ids: Select[Any]) -> int:
    return session.execute(select(func.count()).select_from(ids.subquery())).scalar_one()


def delete_jobs(session: Session, before: datetime, limit: int) -> int:
    return len(_delete(session, JobRow, old_jobs(before), limit))


def delete_studies(session: Session, before: datetime, limit: int) -> list[str]:
    """Returns their ids."""
    return _delete(session, StudyRow, old_studies(before), limit)


def delete_measurements(session: Session, before: datetime, limit: int) -> int:
    return len(_delete(session, MeasurementRow, old_measurements(before), limit))


def delete_checks(session: Session, before: datetime, limit: int) -> int:
    return len(_delete(session, CheckRow, old_checks(before), limit))


def _delete(session: Session, model: Any, ids: Select[Any], limit: int) -> list[Any]:
    chosen = list(session.execute(ids.order_by(model.id).limit(limit)).scalars())
    if chosen:
        session.execute(delete(model).where(model.id.in_(chosen)))
    return chosen
