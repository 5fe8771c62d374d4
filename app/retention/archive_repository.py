"""All SQL of export and import: rows as the lines they are written as, and back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import func, insert, inspect, select
from sqlalchemy.orm import Session, joinedload

from app.database.models.base import Base
from app.database.models.finetuning import (
    EvaluationItemRow,
    FineTuningEventRow,
    FineTuningRow,
)
from app.database.models.knowledge import EvidenceRow
from app.database.models.results import (
    DeviceRow,
    MeasurementRow,
    RecommendationRow,
    StudyRow,
    WorkloadRow,
)
from app.database.models.searching import PredictionRow, StudyMeasurementRow, TrialRow
from app.database.upsert import upsert
from app.finetunings.repository import newest_of
from app.finetunings.state import FineTuningState
from app.measurements import repository as measurements
from app.retention.lines import KINDS, PREDICTION, USE
from app.tuning.state import StudyState
from probes.measurement import Measurement

PAGE = 500
Values = dict[str, Any]

# -- export --------------------------------------------------------------------------------


def everything(session: Session) -> Iterator[tuple[str, Values]]:
    """Kind and values of every line, in an order in which each follows what it refers to."""
    yield from _lines(session, "device", DeviceRow)
    yield from _lines(session, "workload", WorkloadRow)
    statement = select(StudyRow).options(joinedload(StudyRow.workload), joinedload(StudyRow.device))
    for study in session.execute(statement.order_by(StudyRow.id)).scalars():
        yield "study", _study(study)
    yield from _lines(session, "trial", TrialRow)
    yield from (("measurement", values) for values in _measurements(session))
    yield from _lines(session, "recommendation", RecommendationRow)
    yield from _finetunings(session)
    yield from _lines(session, "finetuning_event", FineTuningEventRow)
    yield from _lines(session, "evaluation_row", EvaluationItemRow)
    yield from _lines(session, "evidence", EvidenceRow)


def line_count(session: Session) -> int:
    """Of ``everything``."""
    tables = (
        DeviceRow,
        WorkloadRow,
        StudyRow,
        TrialRow,
        MeasurementRow,
        RecommendationRow,
        FineTuningRow,
        FineTuningEventRow,
        EvaluationItemRow,
        EvidenceRow,
    )
    counts = (select(func.count()).select_from(table) for table in tables)
    return sum(session.execute(each).scalar_one() for each in counts)


def has_later_kinds(session: Session) -> bool:
    """Whether there are lines that the first version of the format does not have."""
    ids = (select(FineTuningRow.id), select(EvidenceRow.id))
    return any(session.execute(each.limit(1)).first() is not None for each in ids)


def _lines(session: Session, kind: str, table: type[Base]) -> Iterator[tuple[str, Values]]:
    statement = select(table).order_by(*table.__table__.primary_key)
    for row in session.execute(statement.execution_options(yield_per=PAGE)).scalars():
        yield kind, _values(row, KINDS[kind].model_fields)


def _values(row: Base, names: Collection[str]) -> Values:
    return {name: getattr(row, name) for name in names}


def _study(row: StudyRow) -> Values:
    """Without its owner process, which means nothing in another database."""
    named = {
        "workload": row.workload.reference,
        "source_hash": row.workload.source_hash,
        "device": row.device.key,
        "state": StudyState.INTERRUPTED if row.state == StudyState.RUNNING else row.state,
    }
    return _values(row, KINDS["study"].model_fields.keys() - named.keys()) | named


def _finetunings(session: Session) -> Iterator[tuple[str, Values]]:
    """Without their processes: one that runs is interrupted, as seen from another database."""
    for kind, values in _lines(session, "finetuning", FineTuningRow):
        if not FineTuningState(values["state"]).is_terminal:
            values["state"] = FineTuningState.INTERRUPTED
        yield kind, values


def _measurements(session: Session) -> Iterator[Values]:
    own = KINDS["measurement"].model_fields.keys() - {"predictions", "used_by"}
    last = 0
    while True:
        statement = select(MeasurementRow).where(MeasurementRow.id > last)
        rows = list(session.execute(statement.order_by(MeasurementRow.id).limit(PAGE)).scalars())
        if not rows:
            return
        last = rows[-1].id
        ids = [row.id for row in rows]
        predictions = _by_measurement(session, PredictionRow, ids, PREDICTION.model_fields)
        uses = _by_measurement(session, StudyMeasurementRow, ids, USE.model_fields)
        for row in rows:
            parts = {"predictions": predictions.get(row.id, []), "used_by": uses.get(row.id, [])}
            yield _values(row, own) | parts
        session.expunge_all()


def _by_measurement(
    session: Session, table: type[Any], ids: list[int], names: Collection[str]
) -> dict[int, list[Values]]:
    found: dict[int, list[Values]] = {}
    statement = select(table).where(table.measurement_id.in_(ids))
    for row in session.execute(statement.order_by(*table.__table__.primary_key)).scalars():
        found.setdefault(row.measurement_id, []).append(_values(row, names))
    return found


# -- import --------------------------------------------------------------------------------


def add(session: Session, kind: str, line: Values) -> bool:
    """Store a line; ``False`` when it is here already."""
    if kind == "device":
        return _add_seen(session, DeviceRow, line, ["key"])
    if kind == "workload":
        return _add_seen(session, WorkloadRow, line, ["reference", "source_hash"])
    if kind == "study":
        return _add_study(session, line)
    if kind == "trial":
        return _add_row(session, TrialRow, line)
    if kind == "measurement":
        return _add_measurement(session, line)
    if kind == "finetuning":
        return _add_finetuning(session, line)
    if kind == "finetuning_event":
        return _add_row(session, FineTuningEventRow, line)
    if kind == "evaluation_row":
        return _add_evaluation_row(session, line)
    if kind == "evidence":
        return _add_row(session, EvidenceRow, line)
    return _add_row(session, RecommendationRow, line)


def _add_seen(session: Session, table: type[Any], line: Values, key: list[str]) -> bool:
    """A device or a workload: the later sighting says what is known of it."""
    where = [getattr(table, name) == line[name] for name in key]
    row = session.execute(select(table).where(*where)).scalar_one_or_none()
    if row is None:
        upsert(session, table, line, key=key, update=[])
        return True
    known = {"first_seen_at": min(row.first_seen_at, line["first_seen_at"])}
    if line["last_seen_at"] > row.last_seen_at:
        known = line | known
    for name, value in known.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
    return False


def _add_study(session: Session, line: Values) -> bool:
    row = session.get(StudyRow, line["id"])
    if row is not None:
        if row.state != StudyState.RUNNING and row.updated_at < line["updated_at"]:
            for name in ("state", "message", "updated_at", "finished_at", "wall_s", "incumbent"):
                setattr(row, name, line[name])
        return False
    named = {"workload", "source_hash", "device"}
    values = {name: value for name, value in line.items() if name not in named}
    values["workload_id"] = session.execute(
        select(WorkloadRow.id).where(
            WorkloadRow.reference == line["workload"],
            WorkloadRow.source_hash == line["source_hash"],
        )
    ).scalar_one()
    values["device_id"] = session.execute(
        select(DeviceRow.id).where(DeviceRow.key == line["device"])
    ).scalar_one()
    values["generation"] = _free_generation(session, line["key"], line["generation"])
    session.add(StudyRow(**values))
    session.flush()
    return True


def _free_generation(session: Session, key: str, generation: int) -> int:
    """Its own, unless the same question was asked here too: then the next one."""
    taken = set(session.execute(select(StudyRow.generation).where(StudyRow.key == key)).scalars())
    return max(taken) + 1 if generation in taken else generation


def _add_row(session: Session, table: type[Base], line: Values) -> bool:
    if session.get(table, tuple(line[key.name] for key in inspect(table).primary_key)) is not None:
        return False
    session.add(table(**line))
    session.flush()
    return True


def _add_finetuning(session: Session, line: Values) -> bool:
    """One that went further elsewhere is brought up to date; one that runs here is left alone."""
    row = session.get(FineTuningRow, line["id"])
    if row is not None:
        if FineTuningState(row.state).is_terminal and row.updated_at < line["updated_at"]:
            for name, value in line.items():
                setattr(row, name, value)
            row.changes += 1
        return False
    newest = newest_of(session, line["run_key"])
    generation = 0 if newest is None else newest.generation + 1
    session.add(FineTuningRow(**line, generation=generation, changes=1))
    session.flush()
    return True


def _add_evaluation_row(session: Session, line: Values) -> bool:
    key = ("finetuning_id", "is_baseline", "task", "item")
    row = EvaluationItemRow
    where = [getattr(row, name) == line[name] for name in key]
    if session.execute(select(row.id).where(*where)).scalar() is not None:
        return False
    session.add(row(**line))
    session.flush()
    return True


def _add_measurement(session: Session, line: Values) -> bool:
    """Two probes are the same if the same thing was probed at the same time."""
    same = ("scope_key", "config_hash", "batch_size", "purpose", "created_at")
    known = session.execute(
        select(MeasurementRow.id).where(*(getattr(MeasurementRow, n) == line[n] for n in same))
    ).scalar()
    measurement_id = known if known is not None else _insert_measurement(session, line)
    for use in line["used_by"]:
        values = {"measurement_id": measurement_id, **use}
        upsert(session, StudyMeasurementRow, values, key=["study_id", "measurement_id"], update=[])
    return known is None


def _insert_measurement(session: Session, line: Values) -> int:
    parts = {"predictions", "used_by"}
    measurement = Measurement.from_dict(line["document"])
    row = MeasurementRow(
        **{name: value for name, value in line.items() if name not in parts},
        **measurements.together(measurement),
        **measurements.energy_columns(measurement),
        ranks=measurements.rank_rows(measurement),
    )
    session.add(row)
    session.flush()
    predictions = [{"measurement_id": row.id, **each} for each in line["predictions"]]
    if predictions:
        session.execute(insert(PredictionRow), predictions)
    return row.id
