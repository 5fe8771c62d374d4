"""Grading predictions: how large the error is, by workload and quantity."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.database import Database
from app.measurements import repository
from optimizer.records import Grade

NEWEST = 10_000
"""How many predictions are graded: old ones say nothing about how good predictions are now."""


@dataclass(frozen=True)
class PredictionErrors:
    """How good the predictions of one quantity of one workload are. Errors are relative to what was
    measured."""

    workload: str
    quantity: str
    count: int
    median_error: float
    """Median of the absolute errors; ``p95_error`` is their 95th percentile."""
    p95_error: float
    median_bias: float
    """Median of the signed errors; positive when predictions are too high."""
    within_interval: float
    """Fraction of the measurements that fell into the predicted interval."""


def errors(
    database: Database, *, workload: str | None = None, quantity: str | None = None
) -> list[PredictionErrors]:
    """The errors of the newest ``NEWEST`` predictions, by workload and quantity."""
    with database.read() as session:
        newest = repository.newest_grades(
            session, workload=workload, quantity=quantity, limit=NEWEST
        )
    groups: dict[tuple[str, str], list[Grade]] = defaultdict(list)
    for name, grade in newest:
        groups[name, grade.quantity].append(grade)
    return [_errors(name, quantity, group) for (name, quantity), group in sorted(groups.items())]


def _errors(workload: str, quantity: str, group: Sequence[Grade]) -> PredictionErrors:
    signed = [each.error for each in group if each.error is not None]
    absolute = sorted(abs(error) for error in signed)
    return PredictionErrors(
        workload=workload,
        quantity=quantity,
        count=len(group),
        median_error=statistics.median(absolute),
        p95_error=absolute[math.ceil(0.95 * len(absolute)) - 1],
        median_bias=statistics.median(signed),
        within_interval=sum(each.is_within_interval for each in group) / len(group),
    )
