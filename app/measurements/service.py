"""What is done with measurements outside a study: single probes and max-batch searches."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.database import Database
from app.database.models import MeasurementRow
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


def prior_elsewhere(database: Database, scope: Scope, config: Config) -> Prior:
    """Memory against the batch as other devices and budgets measured it, for this state of the
    workload; empty without at least two batches. A prior: it is verified here."""
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
    """Keep a measurement that another machine made, in a transaction of the caller's. Its device
    is known by its fingerprint from then on. Returns its id."""
    devices.require(session, scope.fingerprint, scope.device)
    return repository.add(session, scope.key, measurement, fingerprint=scope.fingerprint)
