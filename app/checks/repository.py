"""All SQL about checks, and about the measurements that they rest on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import paging
from app.database.models.results import CheckRow, MeasurementRow, StudyRow

MOST_RUNS = 200
MOST_OTHERS = 20
"""How many measurements of a config are read: on the device, and from other devices."""


def get(session: Session, check_id: str) -> CheckRow | None:
    return session.get(CheckRow, check_id)


def page(session: Session, **wanted: Any) -> list[CheckRow]:
    """Newest first; see ``app.database.paging.page``."""
    return paging.page(session, CheckRow, **wanted)


def measurements(
    session: Session, workload: str, config_hashes: Collection[str], fingerprint: str
) -> list[MeasurementRow]:
    """Measurements of these configs, newest first: those on the device, then a few others."""
    row = MeasurementRow
    of_config = (row.workload == workload, row.config_hash.in_(sorted(config_hashes)))
    found: list[MeasurementRow] = []
    for here, most in ((row.fingerprint == fingerprint, MOST_RUNS),
                       (row.fingerprint != fingerprint, MOST_OTHERS)):  # fmt: skip
        statement = select(row).where(*of_config, here).order_by(row.id.desc()).limit(most)
        found += session.execute(statement).scalars()
    return found


def source_hashes(session: Session, study_ids: Collection[str]) -> dict[str, str | None]:
    """The hash of the workload's source and options, by study."""
    row = StudyRow
    found = session.execute(select(row.id, row.spec).where(row.id.in_(sorted(study_ids))))
    return {identity: spec.get("scope", {}).get("workload_hash") for identity, spec in found}
