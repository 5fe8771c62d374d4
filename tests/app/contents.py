"""What a database holds, for tests that look behind the interface."""

from __future__ import annotations

from app.checks import repository as check_repository
from app.checks.records import CheckRecord
from app.database import Database
from app.measurements import repository as measurement_repository
from app.measurements.repository import MeasurementSummary


def measurements(database: Database, **filters: str) -> list[MeasurementSummary]:
    """Newest first."""
    with database.read() as session:
        return measurement_repository.page(session, **filters, limit=10_000)


def checks(database: Database) -> list[CheckRecord]:
    """Newest first."""
    with database.read() as session:
        return check_repository.page(session, limit=10_000)
