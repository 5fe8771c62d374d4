"""Measurements outside a study: single probes, max-batch searches, and other machines."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.database import Database
from app.database.models.results import MeasurementRow
from app.devices import repository as devices
from app.errors import required
from app.measurements import repository
from optimizer.records import Prediction, Scope
from probes.measurement import Config, Measurement, Purpose, Verdict
from probes.prior import Prior

CONCLUSIVE = (
    Verdict.STABLE,
    Verdict.OOM,
    Verdict.SHAPE_LIMIT,
    Verdict.LEAK,
    Verdict.NON_FINITE,
)
"""Verdicts about the config itself, which any study may reuse. A crash or a time-out may have been
a passing fault of the machine, so another study measures again."""


def record(
    database: Database,
    scope: Scope,
    measurement: Measurement,
    predictions: Sequence[Prediction] = (),
) -> int:
    """Store a measurement that belongs to no study; committed on return. Returns its id."""
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
    """A clean, conclusive measurement of this scope that makes a new probe unnecessary."""
    with database.read() as session:
        found = repository.find(
            session, scope.key, config, batch_size, purpose, conclusive=CONCLUSIVE
        )
    return found.measurement if found else None


def prior_elsewhere(database: Database, scope: Scope, config: Config) -> Prior:
    """Memory by batch size as measured on other devices and with other budgets, for this state of
    the workload; empty without at least two batches. It is only a prior and is verified here."""
    with database.read() as session:
        points = repository.peaks_elsewhere(
            session, scope.workload, scope.workload_hash, config, scope.key
        )
    rising: list[tuple[int, int]] = []
    for batch_size, peak in points:
        rising.append((batch_size, max(peak, rising[-1][1]) if rising else peak))
    cap_bytes = int((scope.limit_bytes or 0) * (1 - scope.headroom))
    return Prior(rising if len(rising) > 1 else [], cap_bytes)


def get(database: Database, measurement_id: int) -> MeasurementRow:
    """Raises ``NotFound``."""
    with database.read() as session:
        return required(repository.get(session, measurement_id), f"measurement {measurement_id}")


def receive(session: Session, scope: Scope, measurement: Measurement) -> int:
    """Store a measurement from another machine in the caller's transaction, and register its device
    by its fingerprint. Returns its id."""
    devices.require(session, scope.fingerprint, scope.device)
    return repository.add(session, scope.key, measurement, fingerprint=scope.fingerprint)
