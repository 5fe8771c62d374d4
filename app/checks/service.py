"""What is done with checks: answering, keeping and showing them."""

from __future__ import annotations

from typing import Any

from app.checks import repository
from app.checks.evaluate import evaluate, stored_columns
from app.checks.records import CheckRecord, CheckVerdict
from app.checks.request import CheckRequest, ConfiguredLimits
from app.database import Database
from app.errors import NotFound
from app.ids import new_id
from app.settings import Settings


def check(
    database: Database, settings: Settings, asked: CheckRequest, *, accept_brackets: bool = False
) -> CheckRecord:
    """``answer``, kept; committed on return."""
    found = answer(database, settings, asked, accept_brackets=accept_brackets)
    return record(database, **stored_columns(found))


def answer(
    database: Database, settings: Settings, asked: CheckRequest, *, accept_brackets: bool = False
) -> dict[str, Any]:
    """Whether a planned run fits, from what is stored here. See ``evaluate.document`` for the keys.
    Raises ``InputError`` for a plan that cannot be one."""
    windows = {
        name: (budget.longest_cycle_s, budget.cycle_batches)
        for name, budget in settings.budget_table().items()
    }
    limits = ConfiguredLimits(settings.headroom, windows)
    with database.read() as session:
        return evaluate(session, asked, limits, accept_brackets=accept_brackets)


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
