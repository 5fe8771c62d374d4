"""What a database holds, for tests that look behind the interface."""

from __future__ import annotations

from app.checks import repository as check_repository
from app.database import Database
from app.database.models.results import CheckRow, DeviceRow, MeasurementRow, WorkloadRow
from app.devices import repository as device_repository
from app.measurements import repository as measurement_repository
from app.workloads import repository as workload_repository


def measurements(database: Database, **filters: str) -> list[MeasurementRow]:
    """Newest first."""
    with database.read() as session:
        return measurement_repository.page(session, **filters, limit=10_000)


def checks(database: Database) -> list[CheckRow]:
    """Newest first."""
    with database.read() as session:
        return check_repository.page(session, limit=10_000)


def devices(database: Database) -> list[DeviceRow]:
    """Last seen first."""
    with database.read() as session:
        return device_repository.listing(session)


def workloads(database: Database) -> list[WorkloadRow]:
    """Last seen first."""
    with database.read() as session:
        return workload_repository.listing(session)
