"""All SQL about workloads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database import paging
from app.database.models.results import WorkloadRow
from app.database.upsert import upsert


def save(
    session: Session,
    *,
    reference: str,
    source_hash: str,
    dataset_size: int | None,
    space: dict[str, Any],
    options: dict[str, Any] | None = None,
    replace: bool = True,
) -> int:
    """Add a workload, or update what is known of it; with ``replace=False`` only the time when it
    was last seen. Returns its id."""
    now = utc_now()
    values = {
        "reference": reference,
        "source_hash": source_hash,
        "options": options or {},
        "dataset_size": dataset_size,
        "space": space,
        "first_seen_at": now,
        "last_seen_at": now,
    }
    known = ["options", "dataset_size", "space"] if replace else []
    update = [*known, "last_seen_at"]
    upsert(session, WorkloadRow, values, key=["reference", "source_hash"], update=update)
    return session.execute(
        select(WorkloadRow.id).where(
            WorkloadRow.reference == reference, WorkloadRow.source_hash == source_hash
        )
    ).scalar_one()


def listing(session: Session) -> list[WorkloadRow]:
    """Last seen first."""
    rows = session.execute(
        select(WorkloadRow).order_by(WorkloadRow.last_seen_at.desc(), WorkloadRow.id.desc())
    )
    return list(rows.scalars())


def newest(session: Session, reference: str) -> WorkloadRow | None:
    """The state of a workload that was last seen; ``None`` where it never was."""
    row = WorkloadRow
    return session.execute(
        select(row)
        .where(row.reference == reference)
        .order_by(row.last_seen_at.desc(), row.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def page(session: Session, *, workload: str | None = None, **wanted: Any) -> list[WorkloadRow]:
    """Newest first; see ``app.database.paging.page``."""
    return paging.page(session, WorkloadRow, reference=workload, **wanted)
