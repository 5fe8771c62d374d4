"""All SQL about bundles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.bundles import BundleChunkRow, BundleRow
from app.database.models.serving import JobRow
from app.tuning.state import ACTIVE

CHUNK_BYTES = 2**20


def get(session: Session, bundle_id: str) -> BundleRow | None:
    return session.get(BundleRow, bundle_id)


def touch(session: Session, bundle_id: str) -> bool:
    """Note that it is used now; whether it is stored."""
    statement = update(BundleRow).where(BundleRow.id == bundle_id).values(used_at=utc_now())
    return bool(session.execute(statement.returning(BundleRow.id)).first())


def add(
    session: Session, bundle_id: str, compressed: bytes, *, size_bytes: int, files: int, by: str
) -> None:
    """Store it with its content. Raises ``IntegrityError`` when it is stored already."""
    now = utc_now()
    session.add(
        BundleRow(
            id=bundle_id,
            size_bytes=size_bytes,
            files=files,
            sent_by=by,
            created_at=now,
            used_at=now,
        )
    )
    session.flush()
    for number, start in enumerate(range(0, len(compressed), CHUNK_BYTES)):
        part = compressed[start : start + CHUNK_BYTES]
        session.add(BundleChunkRow(bundle_id=bundle_id, number=number, data=part))
        session.flush()


def chunks(session: Session, bundle_id: str) -> Iterator[bytes]:
    """The compressed archive, in order."""
    row = BundleChunkRow
    numbers = session.execute(
        select(row.number).where(row.bundle_id == bundle_id).order_by(row.number)
    ).scalars()
    for number in list(numbers):
        key = (row.bundle_id == bundle_id, row.number == number)
        yield session.execute(select(row.data).where(*key)).scalar_one()


def remove(session: Session, bundle_id: str) -> bool:
    """Delete it; whether it was there."""
    found = session.execute(
        delete(BundleRow).where(BundleRow.id == bundle_id).returning(BundleRow.id)
    )
    return bool(found.first())


def is_awaited(session: Session, bundle_id: str) -> bool:
    """Whether a job that is not over needs it."""
    named = JobRow.request["bundle"].as_string() == bundle_id
    statement = select(JobRow.id).where(JobRow.state.in_(ACTIVE), named).limit(1)
    return session.execute(statement).first() is not None


def old(before: datetime) -> Select[Any]:
    """Ids of those that were last used before then, and that no job needs: neither one that is not
    over, nor one that something happened to since (each measurement is an event of its job)."""
    named = JobRow.request["bundle"].as_string()
    needed = select(named).where(
        or_(JobRow.state.in_(ACTIVE), JobRow.updated_at >= before), named.is_not(None)
    )
    return select(BundleRow.id).where(BundleRow.used_at < before, BundleRow.id.not_in(needed))


def remove_old(session: Session, before: datetime) -> int:
    """Delete the old ones; returns how many."""
    ids = list(session.execute(old(before)).scalars())
    for bundle_id in ids:
        remove(session, bundle_id)
    return len(ids)
