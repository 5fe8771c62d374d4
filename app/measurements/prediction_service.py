"""Grading predictions: per workload and quantity, how large the error is."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.database import Database
from app.measurements import prediction_repository
from app.measurements.prediction_repository import Graded

NEWEST = 10_000
"""Predictions that are graded: how good they are now, not how bad they once were."""


@dataclass(frozen=True)
class PredictionErrors:
    """How good the predictions of one quantity of one workload are. Errors are relative to what was
    measured."""

    workload: str
    quantity: str
    count: int
    median_error: float
    """Of absolute errors, as ``p95_error``."""
    p95_error: float
    median_bias: float
    """Of signed errors; positive when too much is predicted."""
    within_interval: float
    """Fraction of the measurements that fell into the predicted interval."""


def errors(
    database: Database, *, workload: str | None = None, quantity: str | None = None
) -> list[PredictionErrors]:
    """Of the newest ``NEWEST`` predictions, by workload and quantity."""
    with database.read() as session:
        graded = prediction_repository.newest(
            session, workload=workload, quantity=quantity, limit=NEWEST
        )
    groups: dict[tuple[str, str], list[Graded]] = defaultdict(list)
    for each in graded:
        groups[each.workload, each.quantity].append(each)
    return [_errors(name, quantity, group) for (name, quantity), group in sorted(groups.items())]


def _errors(workload: str, quantity: str, group: Sequence[Graded]) -> PredictionErrors:
    signed = [each.predicted / each.measured - 1 for each in group]
    absolute = sorted(abs(error) for error in signed)
    inside = sum(each.low <= each.measured <= each.high for each in group)
    return PredictionErrors(
        workload=workload,
        quantity=quantity,
        count=len(group),
        median_error=statistics.median(absolute),
        p95_error=absolute[math.ceil(0.95 * len(absolute)) - 1],
        median_bias=statistics.median(signed),
        within_interval=inside / len(group),
    )
