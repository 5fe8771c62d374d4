"""All SQL of pruning: which rows are old and not needed any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.bundles import repository as bundles
from app.database.models.bundles import BundleRow
from app.database.models.finetuning import FineTuningRow
from app.database.models.fleet import FleetAnswerRow
from app.database.models.knowledge import EvidenceRow
from app.database.models.results import CheckRow, MeasurementRow, RecommendationRow, StudyRow
from app.database.models.searching import StudyMeasurementRow
from app.database.models.serving import JobRow
from app.finetunings.state import UNFINISHED
from app.tuning.state import ACTIVE, TERMINAL


def old_jobs(before: datetime) -> Select[Any]:
    return select(JobRow.id).where(JobRow.state.in_(TERMINAL), JobRow.finished_at < before)


def old_studies(before: datetime) -> Select[Any]:
    """Studies without a recommendation that no active job will continue. A study that is running is
    never old, because it stores something often."""
    answered = exists().where(RecommendationRow.study_id == StudyRow.id)
    awaited = exists().where(JobRow.study_id == StudyRow.id, JobRow.state.in_(ACTIVE))
    return select(StudyRow.id).where(StudyRow.updated_at < before, ~answered, ~awaited)


def old_measurements(before: datetime) -> Select[Any]:
    """Measurements that no remaining study used."""
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


def old_fleet_answers(before: datetime) -> Select[Any]:
    return select(FleetAnswerRow.id).where(FleetAnswerRow.created_at < before)


def old_finetunings(before: datetime) -> Select[Any]:
    """Those that ended without a model, and that no active job will continue."""
    row = FineTuningRow
    awaited = exists().where(JobRow.id == row.id, JobRow.state.in_(ACTIVE))
    return select(row.id).where(row.state.in_(UNFINISHED), row.updated_at < before, ~awaited)


def old_evidence(before: datetime) -> Select[Any]:
    """Evidence of a question that was answered again since."""
    row, later = EvidenceRow, aliased(EvidenceRow)
    again = exists().where(later.question == row.question, later.id > row.id)
    return select(row.id).where(row.measured_at < before, again)


OLD: dict[str, tuple[type[Any], Callable[[datetime], Select[Any]]]] = {
    "jobs": (JobRow, old_jobs),
    "studies": (StudyRow, old_studies),
    "measurements": (MeasurementRow, old_measurements),
    "checks": (CheckRow, old_checks),
    "fleet_answers": (FleetAnswerRow, old_fleet_answers),
    "finetunings": (FineTuningRow, old_finetunings),
    "evidence": (EvidenceRow, old_evidence),
    "bundles": (BundleRow, bundles.old),
}
"""By kind: its table, and the ids of its rows that may be deleted. In the order in which they are
deleted: a study goes before the measurements that only it used."""


def count(session: Session, ids: Select[Any]) -> int:
    return session.execute(select(func.count()).select_from(ids.subquery())).scalar_one()


def delete_some(session: Session, kind: str, before: datetime, limit: int) -> int:
    """Delete at most ``limit`` old rows of a kind; returns how many were deleted."""
    table, old = OLD[kind]
    ids = list(session.execute(old(before).order_by(table.id).limit(limit)).scalars())
    if ids:
        session.execute(delete(table).where(table.id.in_(ids)))
    return len(ids)
