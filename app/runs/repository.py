"""All SQL about training runs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection
from dataclasses import fields

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import RecommendationRow, TrainingRunRow
from app.database.paging import newest_first
from app.runs.records import Grades, RunRecord

_COLUMNS = [field.name for field in fields(RunRecord)]


def add(session: Session, record: RunRecord) -> RunRecord:
    """Without its recommendation where that is not stored here."""
    values = {name: getattr(record, name) for name in _COLUMNS}
    known = session.get(RecommendationRow, record.recommendation_id or "")
    values["recommendation_id"] = known.id if known is not None else None
    row = TrainingRunRow(**values)
    session.add(row)
    session.flush()
    return _record(row)


def get(session: Session, run_id: str) -> RunRecord | None:
    row = session.get(TrainingRunRow, run_id)
    return None if row is None else _record(row)


def page(
    session: Session,
    *,
    workload: str | None = None,
    outcome: str | None = None,
    fingerprint: str | None = None,
    recommendation_id: str | None = None,
    before: str | None = None,
    limit: int,
) -> list[RunRecord]:
    """Newest first; ``before`` is the id where the page before ended."""
    row = TrainingRunRow
    wanted = {
        row.workload: workload,
        row.outcome: outcome,
        row.fingerprint: fingerprint,
        row.recommendation_id: recommendation_id,
    }
    statement = newest_first(select(row), row.id, wanted, before=before, limit=limit)
    return [_record(found) for found in session.execute(statement).scalars()]


def grades(session: Session, recommendation_ids: Collection[str]) -> dict[str, Grades]:
    """Of those recommendations that something was trained with."""
    row = TrainingRunRow
    found = session.execute(
        select(row.recommendation_id, row.outcome, row.step_time_s).where(
            row.recommendation_id.in_(list(recommendation_ids))
        )
    )
    runs: dict[str, list[tuple[str, float | None]]] = defaultdict(list)
    for identity, outcome, step_time_s in found:
        if identity is not None:
            runs[identity].append((outcome, step_time_s))
    return {identity: _grades(each) for identity, each in runs.items()}


def _grades(runs: list[tuple[str, float | None]]) -> Grades:
    outcomes = [outcome for outcome, _ in runs]
    times = [step_time_s for _, step_time_s in runs if step_time_s is not None]
    return Grades(
        runs=len(runs),
        finished=outcomes.count("finished"),
        out_of_memory=outcomes.count("out_of_memory"),
        step_time_s=statistics.median(times) if times else None,
    )


def _record(row: TrainingRunRow) -> RunRecord:
    return RunRecord(**{name: getattr(row, name) for name in _COLUMNS})
