"""What is done with training runs: keeping them, showing them, grading recommendations by them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from app.clock import utc_now
from app.database import Database
from app.errors import NotFound
from app.ids import new_id
from app.runs import repository
from app.runs.records import Grades, RunRecord


def record(database: Database, **facts: Any) -> RunRecord:
    """Keep a run; ``facts`` are the fields of ``RunRecord`` but ``id`` and ``created_at``.
    Committed on return."""
    made = RunRecord(id=new_id("trn"), created_at=utc_now(), **facts)
    with database.write() as session:
        return repository.add(session, made)


def get(database: Database, run_id: str) -> RunRecord:
    """Raises ``NotFound``."""
    with database.read() as session:
        found = repository.get(session, run_id)
    if found is None:
        raise NotFound(f"There is no run {run_id}.")
    return found


def grades(database: Database, recommendation_ids: Collection[str]) -> dict[str, Grades]:
    """The outcomes of real runs, by recommendation. Recommendations without runs are left out."""
    with database.read() as session:
        return repository.grades(session, recommendation_ids)
