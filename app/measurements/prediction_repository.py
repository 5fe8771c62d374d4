"""All SQL about graded predictions."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import MeasurementRow, PredictionRow


@dataclass(frozen=True)
class Graded:
    """A prediction whose measurement gave a number."""

    workload: str
    quantity: str
    predicted: float
    low: float
    high: float
    measured: float


def newest(
    session: Session, *, workload: str | None, quantity: str | None, limit: int
) -> list[Graded]:
    """Newest first."""
    row = PredictionRow
    statement = (
        select(
            MeasurementRow.workload, row.quantity, row.predicted, row.low, row.high, row.measured
        )
        .join(MeasurementRow, MeasurementRow.id == row.measurement_id)
        .where(row.measured.is_not(None), row.measured != 0)
        .order_by(row.id.desc())
        .limit(limit)
    )
    if workload is not None:
        statement = statement.where(MeasurementRow.workload == workload)
    if quantity is not None:
        statement = statement.where(row.quantity == quantity)
    return [
        Graded(workload, quantity, predicted, low, high, measured)
        for workload, quantity, predicted, low, high, measured in session.execute(statement)
        if measured is not None
    ]
