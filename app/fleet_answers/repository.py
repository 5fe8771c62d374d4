"""All SQL about fleet answers, and about the passing runs that they rest on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.database import paging
from app.database.models.fleet import FleetAnswerRow
from app.database.models.results import MeasurementRow, StudyRow, WorkloadRow
from probes.measurement import Verdict

MOST_RUNS = 5000
"""Passing runs that are read, newest first: of the workload, and of all others."""


def get(session: Session, answer_id: str) -> FleetAnswerRow | None:
    return session.get(FleetAnswerRow, answer_id)


def page(session: Session, **wanted: Any) -> list[FleetAnswerRow]:
    """Newest first; see ``app.database.paging.page``."""
    return paging.page(session, FleetAnswerRow, **wanted)


def states_of(session: Session, workload: str) -> list[WorkloadRow]:
    """The workload at every state of its source and options, last seen first."""
    row = WorkloadRow
    found = session.execute(
        select(row)
        .where(row.reference == workload)
        .order_by(row.last_seen_at.desc(), row.id.desc())
    )
    return list(found.scalars())


def workload_names(session: Session) -> list[str]:
    """Of every workload that was measured."""
    found = session.execute(select(WorkloadRow.reference).distinct())
    return sorted(found.scalars())


def passing(session: Session, workload: str) -> list[MeasurementRow]:
    """Stable runs of the workload with a step time, newest first."""
    row = MeasurementRow
    statement = (
        select(row)
        .where(row.workload == workload, *_timed())
        .order_by(row.id.desc())
        .limit(MOST_RUNS)
    )
    return list(session.execute(statement).scalars())


def failing(session: Session, workload: str) -> list[Row[Any]]:
    """Runs of the workload that did not pass, newest first, without their documents."""
    row = MeasurementRow
    statement = (
        select(row.workload, row.config, row.fingerprint, row.limit_bytes, row.verdict, row.reason)
        .where(row.workload == workload, row.verdict != str(Verdict.STABLE), row.fingerprint != "")
        .order_by(row.id.desc())
        .limit(MOST_RUNS)
    )
    return list(session.execute(statement))


def passing_elsewhere(session: Session, workload: str) -> list[Row[Any]]:
    """The same of all other workloads, without their documents and without tainted ones."""
    row = MeasurementRow
    statement = (
        select(
            row.workload, row.config, row.config_hash, row.batch_size, row.fingerprint,
            row.limit_bytes, row.peak_bytes, row.step_mean_s, row.data_parallel,
            row.global_batch_size, row.purpose,
        )
        .where(row.workload != workload, row.tainted.is_(False), *_timed())
        .order_by(row.id.desc())
        .limit(MOST_RUNS)
    )  # fmt: skip
    return list(session.execute(statement))


def sources_of_studies(session: Session, workload: str) -> dict[str, str | None]:
    """The hash of the workload's source and options, by id of the study."""
    statement = (
        select(StudyRow.id, StudyRow.spec)
        .join(WorkloadRow, WorkloadRow.id == StudyRow.workload_id)
        .where(WorkloadRow.reference == workload)
    )
    found = session.execute(statement)
    return {identity: spec.get("scope", {}).get("workload_hash") for identity, spec in found}


def _timed() -> tuple[Any, ...]:
    row = MeasurementRow
    return (
        row.verdict == str(Verdict.STABLE),
        row.step_mean_s.is_not(None),
        row.step_mean_s > 0,
        row.peak_bytes.is_not(None),
        row.fingerprint != "",
    )
