"""All SQL of export and import: rows as the lines they are written as, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session, joinedload

from app.database.models import (
    Base,
    DeviceRow,
    MeasurementRow,
    PredictionRow,
    RecommendationRow,
    StudyMeasurementRow,
    StudyRow,
    TrialRow,
    WorkloadRow,
)
from app.database.upsert import upsert
from app.retention.lines import (
    DeviceLine,
    Line,
    MeasurementLine,
    PredictionPart,
    RecommendationLine,
    StudyLine,
    TrialLine,
    UsePart,
    WorkloadLine,
)
from app.tuning.repository import INTERRUPTED, RUNNING

PAGE = 500

# -- out -----------------------------------------------------------------------------------


def everything(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and values of every line, in an order in which each finds what it refers to."""
    for row in _rows(session, DeviceRow):
        yield "device", _values(row, DeviceLine)
    for row in _rows(session, WorkloadRow):
        yield "workload", _values(row, WorkloadLine)
    statement = select(StudyRow).options(joinedload(StudyRow.workload), joinedload(StudyRow.device))
    for study in session.execute(statement.order_by(StudyRow.id)).scalars():
        yield "study", _study(study)
    for row in _rows(session, TrialRow):
        yield "trial", _values(row, TrialLine)
    yield from (("measurement", values) for values in _measurements(session))
    for row in _rows(session, RecommendationRow):
        yield "recommendation", _values(row, RecommendationLine)


def _rows(session: Session, model: type[Base]) -> Iterator[Any]:
    statement = select(model).order_by(*model.__table__.primary_key)
    yield from session.execute(statement.execution_options(yield_per=PAGE)).scalars()


def _values(row: Any, line: type[Line]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in line.model_fields}


def _study(row: StudyRow) -> dict[str, Any]:
    """Without who runs it, which means nothing elsewhere."""
    named = {
        "workload": row.workload.reference,
        "source_hash": row.workload.source_hash,
        "device": row.device.key,
        "state": INTERRUPTED if row.state == RUNNING else row.state,
    }
    own = [name for name in StudyLine.model_fields if name not in named]
    values = {name: getattr(row, name) for name in own} | named
    return {name: values[name] for name in StudyLine.model_fields}


def _measurements(session: Session) -> Iterator[dict[str, Any]]:
    own = [n for n in MeasurementLine.model_fields if n not in ("predictions", "used_by")]
    last = 0
    while True:
        statement = select(MeasurementRow).where(MeasurementRow.id > last)
        rows = list(session.execute(statement.order_by(MeasurementRow.id).limit(PAGE)).scalars())
        if not rows:
            return
        last = rows[-1].id
        ids = [row.id for row in rows]
        predictions = _by_measurement(session, PredictionRow, PredictionPart, ids)
        uses = _by_measurement(session, StudyMeasurementRow, UsePart, ids)
        for row in rows:
            values = {name: getattr(row, name) for name in own}
            parts = {"predictions": predictions.get(row.id, []), "used_by": uses.get(row.id, [])}
            yield values | parts
        session.expunge_all()


def _by_measurement(
    session: Session, model: type[Any], part: type[Line], ids: list[int]
) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    statement = select(model).where(model.measurement_id.in_(ids))
    for row in session.execute(statement.order_by(*model.__table__.primary_key)).scalars():
        found.setdefault(row.measurement_id, []).append(_values(row, part))
    return found


# -- in ------------------------------------------------------------------------------------


def add(session: Session, line: Line) -> bool:
    """Store a line; ``False`` when it is here already."""
    if isinstance(line, DeviceLine):
        return _add_seen(session, DeviceRow, line, ["key"])
    if isinstance(line, WorkloadLine):
        return _add_seen(session, WorkloadRow, line, ["reference", "source_hash"])
    if isinstance(line, StudyLine):
        return _add_study(session, line)
    if isinstance(line, TrialLine):
        return _add_trial(session, line)
    if isinstance(line, MeasurementLine):
        return _add_measurement(session, line)
    assert isinstance(line, RecommendationLine)
    return _add_recommendation(session, line)


def _add_seen(session: Session, model: type[Any], line: Any, key: list[str]) -> bool:
    """A device or a workload: what was seen later is what is known of it."""
    where = [getattr(model, name) == getattr(line, name) for name in key]
    row = session.execute(select(model).where(*where)).scalar_one_or_none()
    values = line.model_dump()
    if row is None:
        upsert(session, model, values, key=key, update=[])
        return True
    values["first_seen_at"] = min(row.first_seen_at, line.first_seen_at)
    if line.last_seen_at <= row.last_seen_at:
        values = {"first_seen_at": values["first_seen_at"]}
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
    return False


def _add_study(session: Session, line: StudyLine) -> bool:
    row = session.get(StudyRow, line.id)
    if row is not None:
        if row.state != RUNNING and row.updated_at < line.updated_at:
            for name in ("state", "message", "updated_at", "finished_at", "wall_s"):
                setattr(row, name, getattr(line, name))
        return False
    values = line.model_dump(exclude={"workload", "source_hash", "device"})
    values["workload_id"] = session.execute(
        select(WorkloadRow.id).where(
            WorkloadRow.reference == line.workload, WorkloadRow.source_hash == line.source_hash
        )
    ).scalar_one()
    values["device_id"] = session.execute(
        select(DeviceRow.id).where(DeviceRow.key == line.device)
    ).scalar_one()
    values["generation"] = _free_generation(session, line)
    session.add(StudyRow(**values, owner_pid=None, owner_host=None, owner_started_s=None))
    session.flush()
    return True


def _free_generation(session: Session, line: StudyLine) -> int:
    """Its own, unless the same question was asked here too: then the next one."""
    taken = select(StudyRow.generation).where(StudyRow.key == line.key)
    if line.generation not in set(session.execute(taken).scalars()):
        return line.generation
    highest = select(func.max(StudyRow.generation)).where(StudyRow.key == line.key)
    return session.execute(highest).scalar_one() + 1


def _add_trial(session: Session, line: TrialLine) -> bool:
    if session.get(TrialRow, (line.study_id, line.number)) is not None:
        return False
    session.add(TrialRow(**line.model_dump()))
    session.flush()
    return True


def _add_measurement(session: Session, line: MeasurementLine) -> bool:
    """The same probe is known by what was probed, and by when."""
    same = session.execute(
        select(MeasurementRow.id).where(
            MeasurementRow.scope_key == line.scope_key,
            MeasurementRow.config_hash == line.config_hash,
            MeasurementRow.batch_size == line.batch_size,
            MeasurementRow.purpose == line.purpose,
            MeasurementRow.created_at == line.created_at,
        )
    ).scalar()
    measurement_id = same if same is not None else _insert_measurement(session, line)
    for use in line.used_by:
        values = {"measurement_id": measurement_id, **use.model_dump()}
        upsert(session, StudyMeasurementRow, values, key=["study_id", "measurement_id"], update=[])
    return same is None


def _insert_measurement(session: Session, line: MeasurementLine) -> int:
    row = MeasurementRow(**line.model_dump(exclude={"predictions", "used_by"}))
    session.add(row)
    session.flush()
    parts = [{"measurement_id": row.id, **part.model_dump()} for part in line.predictions]
    if parts:
        session.execute(insert(PredictionRow), parts)
    return row.id


def _add_recommendation(session: Session, line: RecommendationLine) -> bool:
    if session.get(RecommendationRow, line.id) is not None:
        return False
    session.add(RecommendationRow(**line.model_dump()))
    session.flush()
    return True
