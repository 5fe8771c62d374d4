"""SQL about the trials of one study, which may be thousands: pages, counts, and what is drawn."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from app.database.models.results import DeviceRow, StudyRow, WorkloadRow
from app.database.models.searching import TrialRow
from app.database.records import record_of
from optimizer.records import Trial

Sort = Literal["number", "throughput", "batch", "parameters", "probes", "time"]
_COLUMNS = {
    "number": TrialRow.number,
    "throughput": TrialRow.throughput_samples_per_s,
    "batch": TrialRow.batch_size,
    "parameters": TrialRow.parameters,
    "probes": TrialRow.probes,
    "time": TrialRow.wall_s,
}


@dataclass(frozen=True)
class TrialQuery:
    """Which trials are looked at, and in what order."""

    state: str | None = None
    text: str = ""
    """Found in the config or in the reason; upper and lower case are the same."""
    sort: Sort = "number"
    descending: bool = True


class TrialPoint(NamedTuple):
    """What is drawn of a trial that fits, without its config: there may be thousands."""

    number: int
    batch_size: int
    parameters: int | None
    throughput_samples_per_s: float
    fits_window: bool
    """Whether its cycle is within the time window: one that is only a little longer is kept too."""


class Tally(NamedTuple):
    """How many trials a study has, and how many of them took a measurement."""

    settled: int
    measured: int


class TrialCosts(NamedTuple):
    """What measured trials of one workload, budget and device have cost together."""

    workload: str
    budget: str
    fingerprint: str
    device: str
    trials: int
    wall_s: float


def page(
    session: Session, study_id: str, query: TrialQuery, *, offset: int, limit: int
) -> list[Trial]:
    """Trials without the sorted number come last."""
    column = _COLUMNS[query.sort]
    ordered: list[ColumnElement[Any]] = [column.desc() if query.descending else column.asc()]
    if query.sort != "number":  # which is the key: as it stands, the index has the order
        ordered = [column.is_(None), *ordered, TrialRow.number.desc()]
    rows = session.execute(
        select(TrialRow)
        .where(TrialRow.study_id == study_id, *_matching(query))
        .order_by(*ordered)
        .offset(offset)
        .limit(limit)
    )
    return [record_of(Trial, row) for row in rows.scalars()]


def count(session: Session, study_id: str, query: TrialQuery) -> int:
    statement = select(func.count()).select_from(TrialRow)
    return session.execute(
        statement.where(TrialRow.study_id == study_id, *_matching(query))
    ).scalar_one()


def counts_by_state(session: Session, study_id: str) -> dict[str, int]:
    """States that no trial is in are left out."""
    rows = session.execute(
        select(TrialRow.state, func.count())
        .where(TrialRow.study_id == study_id)
        .group_by(TrialRow.state)
    )
    return dict(rows.all())


def tallies(session: Session, study_ids: Collection[str]) -> dict[str, Tally]:
    """The tally of each of these studies that has trials."""
    rows = session.execute(
        select(TrialRow.study_id, func.count(), func.count().filter(TrialRow.probes > 0))
        .where(TrialRow.study_id.in_(list(study_ids)))
        .group_by(TrialRow.study_id)
    )
    return {study_id: Tally(settled, measured) for study_id, settled, measured in rows}


def totals(session: Session, study_id: str) -> tuple[int, float]:
    """Measured trials, and the seconds they took."""
    row = session.execute(
        select(func.count(), func.coalesce(func.sum(TrialRow.wall_s), 0.0)).where(
            TrialRow.study_id == study_id, TrialRow.probes > 0
        )
    ).one()
    return int(row[0]), float(row[1])


def points(session: Session, study_id: str) -> list[TrialPoint]:
    """Every trial that has a throughput, in the order of their numbers."""
    rows = session.execute(
        select(
            TrialRow.number,
            TrialRow.batch_size,
            TrialRow.parameters,
            TrialRow.throughput_samples_per_s,
            func.coalesce(TrialRow.violation["time"].as_float(), 0.0) <= 0,
        )
        .where(
            TrialRow.study_id == study_id,
            TrialRow.throughput_samples_per_s.is_not(None),
            TrialRow.batch_size.is_not(None),
        )
        .order_by(TrialRow.number)
    )
    return [TrialPoint._make(row) for row in rows]


def configs(session: Session, study_id: str, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
    """The configs of these trials, by number."""
    rows = session.execute(
        select(TrialRow.number, TrialRow.config).where(
            TrialRow.study_id == study_id, TrialRow.number.in_(list(numbers))
        )
    )
    return dict(rows.all())


def get(session: Session, study_id: str, number: int) -> Trial | None:
    row = session.get(TrialRow, (study_id, number))
    return None if row is None else record_of(Trial, row)


def costs(session: Session) -> list[TrialCosts]:
    """What the measured trials of each workload, budget and device have cost."""
    rows = session.execute(
        select(
            WorkloadRow.reference,
            StudyRow.budget,
            DeviceRow.key,
            DeviceRow.name,
            func.count(),
            func.sum(TrialRow.wall_s),
        )
        .select_from(TrialRow)
        .join(StudyRow, StudyRow.id == TrialRow.study_id)
        .join(WorkloadRow, WorkloadRow.id == StudyRow.workload_id)
        .join(DeviceRow, DeviceRow.id == StudyRow.device_id)
        .where(TrialRow.probes > 0)
        .group_by(WorkloadRow.reference, StudyRow.budget, DeviceRow.key, DeviceRow.name)
    )
    return [TrialCosts(*row) for row in rows]


def _matching(query: TrialQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.state is not None:
        found.append(TrialRow.state == query.state)
    for word in query.text.split():
        config = cast(TrialRow.config, Text)
        found.append(
            or_(
                config.icontains(word, autoescape=True),
                TrialRow.reason.icontains(word, autoescape=True),
            )
        )
    return found
