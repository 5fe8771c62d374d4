"""Storing and finding training runs, and grading recommendations by them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from app.clock import utc_now
from app.database import Database
from app.database.models.serving import TrainingRunRow
from app.errors import required
from app.ids import new_id
from app.runs import repository
from app.runs.repository import Grades


def record(database: Database, **facts: Any) -> TrainingRunRow:
    """Keep a run; ``facts`` are the columns of its row except ``id`` and ``created_at``.
    Committed on return."""
    row = TrainingRunRow(id=new_id("trn"), created_at=utc_now(), **facts)
    with database.write() as session:
        repository.add(session, row)
    return row


def get(database: Database, run_id: str) -> TrainingRunRow:
    """Raises ``NotFound``."""
    with database.read() as session:
        return required(repository.get(session, run_id), f"run {run_id}")


def grades(database: Database, recommendation_ids: Collection[str]) -> dict[str, Grades]:
    """The outcomes of training runs, by recommendation. One without runs is left out."""
    with database.read() as session:
        return repository.grades(session, recommendation_ids)
