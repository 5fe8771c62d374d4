"""What is done with measurements outside a study: single probes and max-batch searches."""

from __future__ import annotations

from collections.abc import Sequence

from app.database import Database
from app.measurements import repository
from app.measurements.repository import Grade, MeasurementRecord
from optimizer.records import Prediction, Scope
from probes.measurement import Config, Measurement, Purpose, Verdict

CONCLUSIVE = (
    Verdict.STABLE,
    Verdict.OOM,
    Verdict.SHAPE_LIMIT,
    Verdict.LEAK,
    Verdict.NON_FINITE,
)
"""Verdicts about the config itself, which hold for everyone who asks. A crash or a time-out may
have been the machine's mood, so another study measures again."""


def record(
    database: Database,
    scope: Scope,
    measurement: Measurement,
    predictions: Sequence[Prediction] = (),
) -> int:
    """Keep a measurement that belongs to no study; committed on return. Returns its id."""
    with database.write() as session:
        return repository.add(
            session,
            scope.key,
            measurement,
            fingerprint=scope.fingerprint,
            predictions=predictions,
        )


def find(
    database: Database, scope: Scope, config: Config, batch_size: int, purpose: Purpose
) -> Measurement | None:
    """A clean, conclusive measurement of this scope that may stand for a new probe."""
    with database.read() as session:
        found = repository.find(
            session, scope.key, config, batch_size, purpose, conclusive=CONCLUSIVE
        )
    return found.measurement if found else None


def listing(
    database: Database,
    *,
    scope: Scope | None = None,
    verdict: Verdict | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[MeasurementRecord]:
    """Newest first."""
    scope_key = scope.key if scope else None
    with database.read() as session:
        return repository.listing(
            session, scope_key=scope_key, verdict=verdict, before_id=before_id, limit=limit
        )


def grades(database: Database, study_id: str) -> list[Grade]:
    """How good the predictions of a study were."""
    with database.read() as session:
        return repository.grades(session, study_id)
