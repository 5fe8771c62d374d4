"""All SQL about measurements and predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, defer, selectinload

from app.clock import utc_now
from app.database import paging
from app.database.models.results import (
    MeasurementRankRow,
    MeasurementRow,
    StudyRow,
    WorkloadRow,
)
from app.database.models.searching import PredictionRow, StudyMeasurementRow
from app.database.paging import newest_first
from app.database.upsert import upsert
from optimizer.records import Grade, Prediction, short_hash
from probes.measurement import Config, Measurement, Purpose, Verdict

WITH_RANKS = selectinload(MeasurementRow.ranks)


@dataclass(frozen=True)
class MeasurementRecord:
    """A stored measurement, and its id."""

    id: int
    measurement: Measurement


def in_short(measurement: Measurement) -> dict[str, Any]:
    """The columns that repeat parts of a measurement's document, for listings."""
    return {
        "batch_size": measurement.batch_size,
        "purpose": str(measurement.purpose),
        "verdict": str(measurement.verdict),
        "reason": measurement.reason,
        "peak_bytes": measurement.peak_bytes,
        "limit_bytes": measurement.limit_bytes,
        "step_mean_s": measurement.step_time.mean_s if measurement.step_time else None,
        **together(measurement),
        **energy_columns(measurement),
    }


def together(measurement: Measurement) -> dict[str, Any]:
    """The columns that say what the ranks of a gang came to together."""
    return {
        "limiting_rank": measurement.limiting_rank,
        "data_parallel": measurement.data_parallel,
        "communication_share": measurement.communication_share,
        "global_batch_size": measurement.effective_batch_size,
    }


def energy_columns(measurement: Measurement) -> dict[str, Any]:
    """The columns that say what the measured steps took."""
    energy, host = measurement.energy, measurement.host_energy
    return {
        "energy_j": measurement.energy_j,
        "energy_per_sample_j": measurement.energy_per_sample_j,
        "energy_source": energy.source if energy is not None else None,
        "energy_unavailable": measurement.energy_unavailable,
        "host_energy_j": host.energy_j if host is not None else None,
    }


def rank_rows(measurement: Measurement) -> list[MeasurementRankRow]:
    """A row for each rank of a gang; none for a single device."""
    return [
        MeasurementRankRow(**{**vars(each), "verdict": each.verdict and str(each.verdict)})
        for each in measurement.ranks
    ]


def add(
    session: Session,
    scope_key: str,
    measurement: Measurement,
    *,
    fingerprint: str,
    study_id: str | None = None,
    trial_number: int | None = None,
    predictions: Sequence[Prediction] = (),
) -> int:
    """Store one measurement with its predictions; returns its id."""
    row = MeasurementRow(
        scope_key=scope_key,
        study_id=study_id,
        trial_number=trial_number,
        workload=measurement.workload,
        device=measurement.device,
        fingerprint=fingerprint,
        config_hash=short_hash(measurement.config),
        config=measurement.config,
        **in_short(measurement),
        tainted=bool(measurement.tainted),
        document=measurement.to_dict(),
        created_at=utc_now(),
        ranks=rank_rows(measurement),
    )
    session.add(row)
    session.flush()
    for prediction in predictions:
        if not math.isnan(prediction.predicted):
            session.add(_prediction_row(row.id, prediction, measurement))
    return row.id


def find(
    session: Session,
    scope_key: str,
    config: Config,
    batch_size: int,
    purpose: Purpose,
    *,
    conclusive: Sequence[Verdict],
    study_id: str | None = None,
    not_before: datetime | None = None,
) -> MeasurementRecord | None:
    """The best measurement that answers for this config, batch size and purpose.

    All measurements of ``study_id`` count, even tainted ones: the study decides whether to use
    them. Of the others, only clean and ``conclusive`` ones count that were made at or after
    ``not_before``. A passed confirmation also answers for a bracket. Clean ones are preferred, then
    the study's own, then those made for the purpose, then the newest.
    """
    own = MeasurementRow.study_id == study_id
    borrowed: ColumnElement[bool] = and_(
        MeasurementRow.verdict.in_([str(v) for v in conclusive]),
        MeasurementRow.tainted.is_(False),
    )
    if not_before is not None:
        borrowed = and_(borrowed, MeasurementRow.created_at >= not_before)
    statement = (
        select(MeasurementRow)
        .where(
            MeasurementRow.scope_key == scope_key,
            MeasurementRow.config_hash == short_hash(config),
            MeasurementRow.batch_size == batch_size,
            _serves(purpose),
            borrowed if study_id is None else or_(own, borrowed),
        )
        .order_by(
            MeasurementRow.tainted,
            case((own, 0), else_=1),
            case((MeasurementRow.purpose == str(purpose), 0), else_=1),
            MeasurementRow.id.desc(),
        )
        .limit(1)
    )
    row = session.execute(statement).scalar_one_or_none()
    return None if row is None else _record(row)


def _serves(purpose: Purpose) -> ColumnElement[bool]:
    same = MeasurementRow.purpose == str(purpose)
    if purpose is not Purpose.BRACKET:
        return same
    confirmed = MeasurementRow.purpose == str(Purpose.CONFIRM)
    return or_(same, and_(confirmed, MeasurementRow.verdict == str(Verdict.STABLE)))


def peaks_elsewhere(
    session: Session, workload: str, workload_hash: str, config: Config, scope_key: str
) -> list[tuple[int, int]]:
    """(batch size, largest peak in bytes) of a config that passed in any other scope, ascending."""
    rows = session.execute(
        select(MeasurementRow.batch_size, func.max(MeasurementRow.peak_bytes))
        .join(StudyRow, StudyRow.id == MeasurementRow.study_id)
        .join(WorkloadRow, WorkloadRow.id == StudyRow.workload_id)
        .where(
            WorkloadRow.reference == workload,
            WorkloadRow.source_hash == workload_hash,
            MeasurementRow.config_hash == short_hash(config),
            MeasurementRow.scope_key != scope_key,
            MeasurementRow.verdict == str(Verdict.STABLE),
            MeasurementRow.peak_bytes.is_not(None),
        )
        .group_by(MeasurementRow.batch_size)
        .order_by(MeasurementRow.batch_size)
    )
    return [(batch_size, peak) for batch_size, peak in rows if peak is not None]


def link(session: Session, study_id: str, measurement_id: int, *, reused: bool) -> None:
    """Note that a study used a measurement; a second time changes nothing."""
    values = {"study_id": study_id, "measurement_id": measurement_id, "reused": reused}
    upsert(session, StudyMeasurementRow, values, key=["study_id", "measurement_id"], update=[])


def is_linked(session: Session, study_id: str, measurement_id: int) -> bool:
    return session.get(StudyMeasurementRow, (study_id, measurement_id)) is not None


def of_study(session: Session, study_id: str) -> list[MeasurementRecord]:
    """Every measurement a study used, reused ones included, oldest first."""
    return _oldest_first(session, _used_by(study_id))


def count_of_study(session: Session, study_id: str) -> int:
    """How many measurements a study used, reused ones included."""
    used = StudyMeasurementRow
    statement = select(func.count()).select_from(used).where(used.study_id == study_id)
    return session.execute(statement).scalar_one()


def of_configs(
    session: Session, study_id: str, configs: Sequence[Config]
) -> list[MeasurementRecord]:
    """The measurements of a study that are of these configs, oldest first."""
    hashes = [short_hash(config) for config in configs]
    return _oldest_first(session, _used_by(study_id).where(MeasurementRow.config_hash.in_(hashes)))


def of_trial(session: Session, study_id: str, number: int) -> list[MeasurementRecord]:
    """What a study measured of one config, oldest first."""
    row = MeasurementRow
    own = select(row).where(row.study_id == study_id, row.trial_number == number)
    return _oldest_first(session, own)


def _used_by(study_id: str) -> Select[MeasurementRow]:
    return (
        select(MeasurementRow)
        .join(StudyMeasurementRow, StudyMeasurementRow.measurement_id == MeasurementRow.id)
        .where(StudyMeasurementRow.study_id == study_id)
    )


def _oldest_first(session: Session, statement: Select[MeasurementRow]) -> list[MeasurementRecord]:
    rows = session.execute(statement.order_by(MeasurementRow.id)).scalars()
    return [_record(row) for row in rows]


def page(session: Session, **wanted: Any) -> list[MeasurementRow]:
    """Newest first, without their documents; see ``app.database.paging.page``. ``study_id`` selects
    what that study ran, not what it reused."""
    short = defer(MeasurementRow.document, raiseload=True)
    return paging.page(session, MeasurementRow, options=[short, WITH_RANKS], **wanted)


def get(session: Session, measurement_id: int) -> MeasurementRow | None:
    return session.get(MeasurementRow, measurement_id, options=[WITH_RANKS])


def counts_by_verdict(session: Session) -> dict[str, int]:
    """Verdicts that no measurement has are left out. Reads an index, not the table."""
    statement = select(MeasurementRow.verdict, func.count()).group_by(MeasurementRow.verdict)
    return dict(session.execute(statement).all())


def grades(session: Session, study_id: str) -> list[Grade]:
    """The predictions of a study's own measurements, oldest first."""
    rows = session.execute(
        select(PredictionRow)
        .join(MeasurementRow, MeasurementRow.id == PredictionRow.measurement_id)
        .where(MeasurementRow.study_id == study_id)
        .order_by(PredictionRow.id)
    )
    return [_grade(row) for row in rows.scalars()]


def newest_grades(
    session: Session, *, workload: str | None, quantity: str | None, limit: int
) -> list[tuple[str, Grade]]:
    """Workload and grade of every prediction whose measurement gave a number, newest first."""
    statement = newest_first(
        select(MeasurementRow.workload, PredictionRow)
        .join(MeasurementRow, MeasurementRow.id == PredictionRow.measurement_id)
        .where(PredictionRow.measured.is_not(None), PredictionRow.measured != 0),
        PredictionRow.id,
        {MeasurementRow.workload: workload, PredictionRow.quantity: quantity},
        limit=limit,
    )
    return [(name, _grade(row)) for name, row in session.execute(statement)]


def _grade(row: PredictionRow) -> Grade:
    return Grade(row.quantity, row.predicted, row.low, row.high, row.measured)


def _prediction_row(
    measurement_id: int, prediction: Prediction, measurement: Measurement
) -> PredictionRow:
    return PredictionRow(
        measurement_id=measurement_id,
        quantity=prediction.quantity,
        predicted=prediction.predicted,
        low=-math.inf if math.isnan(prediction.low) else prediction.low,
        high=math.inf if math.isnan(prediction.high) else prediction.high,
        measured=_measured(prediction.quantity, measurement),
    )


def _measured(quantity: str, measurement: Measurement) -> float | None:
    """What the measurement gave for a predicted quantity. Only a run that passed is a fair grade:
    one that died has not reached its peak."""
    if not measurement.passed:
        return None
    if quantity == "step_time_s":
        return measurement.step_time.mean_s if measurement.step_time else None
    value = getattr(measurement, quantity, None)
    return float(value) if isinstance(value, (int, float)) else None


def _record(row: MeasurementRow) -> MeasurementRecord:
    return MeasurementRecord(row.id, Measurement.from_dict(row.document))
