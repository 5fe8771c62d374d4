"""All SQL about training runs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import paging
from app.database.models.results import RecommendationRow
from app.database.models.serving import TrainingRunRow
from app.runs.outcome import Outcome


@dataclass(frozen=True)
class Grades:
    """The outcomes of the runs with a recommendation."""

    runs: int = 0
    finished: int = 0
    out_of_memory: int = 0
    step_time_s: float | None = None
    """Median over the runs whose output tells it."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def add(session: Session, row: TrainingRunRow) -> None:
    """Store a run, without its recommendation where that is not stored here."""
    if session.get(RecommendationRow, row.recommendation_id or "") is None:
        row.recommendation_id = None
    session.add(row)


def get(session: Session, run_id: str) -> TrainingRunRow | None:
    return session.get(TrainingRunRow, run_id)


def page(session: Session, **wanted: Any) -> list[TrainingRunRow]:
    """Newest first; see ``app.database.paging.page``."""
    return paging.page(session, TrainingRunRow, **wanted)


def grades(session: Session, recommendation_ids: Collection[str]) -> dict[str, Grades]:
    """The grades of those recommendations that were used for training."""
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
        finished=outcomes.count(Outcome.FINISHED),
        out_of_memory=outcomes.count(Outcome.OUT_OF_MEMORY),
        step_time_s=statistics.median(times) if times else None,
    )
