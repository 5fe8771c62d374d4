"""Answering checks, and storing and finding the answers."""

from __future__ import annotations

from typing import Any

from app.checks import repository
from app.checks.evaluate import evaluate, stored_columns
from app.checks.request import CheckRequest
from app.clock import utc_now
from app.database import Database
from app.database.models.results import CheckRow
from app.errors import required
from app.ids import new_id
from app.settings import Settings


def check(
    database: Database, settings: Settings, asked: CheckRequest, *, accept_brackets: bool = False
) -> CheckRow:
    """As ``answer``, and stores it; committed on return."""
    found = answer(database, settings, asked, accept_brackets=accept_brackets)
    return record(database, **stored_columns(found))


def answer(
    database: Database, settings: Settings, asked: CheckRequest, *, accept_brackets: bool = False
) -> dict[str, Any]:
    """As ``evaluate``, in a transaction of its own."""
    with database.read() as session:
        return evaluate(session, asked, settings, accept_brackets=accept_brackets)


def record(database: Database, **columns: Any) -> CheckRow:
    """Keep an answer; ``columns`` are those of ``stored_columns``. Committed on return."""
    row = CheckRow(id=new_id("chk"), created_at=utc_now(), **columns)
    with database.write() as session:
        session.add(row)
    return row


def get(database: Database, check_id: str) -> CheckRow:
    """Raises ``NotFound``."""
    with database.read() as session:
        return required(repository.get(session, check_id), f"check {check_id}")
