"""What is done with checks: keeping them, and showing them."""

from __future__ import annotations

from typing import Any

from app.checks import repository
from app.checks.records import CheckRecord, CheckVerdict
from app.database import Database
from app.errors import NotFound
from app.ids import new_id


def record(
    database: Database,
    *,
    verdict: CheckVerdict,
    workload: str,
    device: str,
    fingerprint: str,
    document: dict[str, Any],
    recommendation_id: str | None = None,
) -> CheckRecord:
    """Keep an answer; committed on return."""
    with database.write() as session:
        return repository.add(
            session,
            check_id=new_id("chk"),
            verdict=verdict,
            workload=workload,
            device=device,
            fingerprint=fingerprint,
            recommendation_id=recommendation_id,
            document=document,
        )


def get(database: Database, check_id: str) -> CheckRecord:
    """Raises ``NotFound``."""
    with database.read() as session:
        found = repository.get(session, check_id)
    if found is None:
        raise NotFound(f"There is no check {check_id}.")
    return found


def page(
    database: Database,
    *,
    workload: str | None = None,
    verdict: str | None = None,
    fingerprint: str | None = None,
    before: str | None = None,
    limit: int,
) -> list[CheckRecord]:
    """Newest first."""
    with database.read() as session:
        return repository.page(
            session,
            workload=workload,
            verdict=verdict,
            fingerprint=fingerprint,
            before=before,
            limit=limit,
        )
