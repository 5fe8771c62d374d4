"""All SQL about studies and their trials."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.results import StudyRow
from app.database.models.searching import TrialRow
from app.database.records import record_of
from app.database.upsert import upsert
from app.tuning import claims
from app.tuning.owner import Owner, owner_of
from app.tuning.state import StudyState
from optimizer.records import StudySpec, Trial


@dataclass(frozen=True)
class StudyRecord:
    """A stored study."""

    id: str
    key: str
    """``StudySpec.key``: equal for studies that answer the same question."""
    generation: int
    fresh: bool
    state: StudyState
    spec: dict[str, Any]
    scope_key: str
    budget: str
    workload: str
    device: str
    """As the command line names it."""
    fingerprint: str
    message: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    wall_s: float
    """Time spent in all runs of the study."""
    incumbent: int | None
    """Number of the trial that would be recommended now, by ``optimizer.choose``."""
    owner: Owner | None


def add(
    session: Session,
    study_id: str,
    spec: StudySpec,
    owner: Owner,
    *,
    generation: int,
    fresh: bool,
    workload_id: int,
    device_id: int,
) -> None:
    """Add a running study. Raises ``IntegrityError`` when the generation exists already."""
    now = utc_now()
    session.add(
        StudyRow(
            id=study_id,
            key=spec.key,
            generation=generation,
            fresh=fresh,
            state=StudyState.RUNNING,
            spec=spec.to_dict(),
            scope_key=spec.scope.key,
            budget=spec.budget.name,
            workload_id=workload_id,
            device_id=device_id,
            message="",
            created_at=now,
            updated_at=now,
            wall_s=0.0,
            **owner.columns(),
        )
    )
    session.flush()


def take_over(session: Session, study_id: str, owner: Owner) -> None:
    """Mark a study as running in this process."""
    row = _row(session, study_id)
    row.state = StudyState.RUNNING
    row.message = ""
    row.finished_at = None
    row.updated_at = utc_now()
    for name, value in owner.columns().items():
        setattr(row, name, value)
    session.flush()


def close(session: Session, study_id: str, state: StudyState, message: str, wall_s: float) -> None:
    """End the run in progress: the study has no owner any more."""
    row = _row(session, study_id)
    claims.release_all(session, study_id, owner_of(row))
    row.state = state
    row.message = message
    row.updated_at = utc_now()
    row.finished_at = row.updated_at if state == StudyState.FINISHED else None
    row.wall_s += wall_s
    row.owner_pid = row.owner_host = row.owner_started_s = None
    session.flush()


def touch(session: Session, study_id: str) -> None:
    """A sign of life, for owners that another host cannot look up by process number."""
    _row(session, study_id).updated_at = utc_now()


def set_incumbent(session: Session, study_id: str, number: int | None) -> None:
    """Which trial would be recommended now; ``None`` where no trial would be."""
    _row(session, study_id).incumbent = number


def remove(session: Session, study_ids: Collection[str]) -> None:
    """Delete studies with their trials and recommendations; measurements stay."""
    session.execute(delete(StudyRow).where(StudyRow.id.in_(list(study_ids))))


def get(session: Session, study_id: str) -> StudyRecord | None:
    row = session.get(StudyRow, study_id)
    return None if row is None else record(row)


def latest(session: Session, key: str) -> StudyRecord | None:
    """The newest generation of a question. In a writing transaction nobody else can change it
    until that ends."""
    row = session.execute(
        select(StudyRow)
        .where(StudyRow.key == key)
        .order_by(StudyRow.generation.desc())
        .limit(1)
        .with_for_update()
    ).scalar_one_or_none()
    return None if row is None else record(row)


def save_trial(session: Session, study_id: str, trial: Trial) -> None:
    """Add a settled trial; the same number again replaces it."""
    values = {"study_id": study_id, "created_at": utc_now(), **trial.to_dict()}
    update = [name for name in values if name not in ("study_id", "number", "created_at")]
    upsert(session, TrialRow, values, key=["study_id", "number"], update=update)


def trials(session: Session, study_id: str) -> list[Trial]:
    """Settled trials in the order of their numbers."""
    rows = session.execute(
        select(TrialRow).where(TrialRow.study_id == study_id).order_by(TrialRow.number)
    )
    return [record_of(Trial, row) for row in rows.scalars()]


def trial_count(session: Session, study_id: str) -> int:
    statement = select(func.count()).select_from(TrialRow).where(TrialRow.study_id == study_id)
    return session.execute(statement).scalar_one()


def _row(session: Session, study_id: str) -> StudyRow:
    return session.get_one(StudyRow, study_id)


def record(row: StudyRow) -> StudyRecord:
    """A row as plain data; its workload and device are read too."""
    return record_of(
        StudyRecord,
        row,
        state=StudyState(row.state),
        workload=row.workload.reference,
        device=row.spec.get("scope", {}).get("device", row.device.name),
        fingerprint=row.device.key,
        owner=owner_of(row),
    )
