"""All SQL about evidence."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database import paging
from app.database.models.knowledge import EvidenceRow


def add(session: Session, row: EvidenceRow) -> None:
    session.add(row)
    session.flush()


def get(session: Session, evidence_id: str) -> EvidenceRow | None:
    return session.get(EvidenceRow, evidence_id)


def page(session: Session, **wanted: Any) -> list[EvidenceRow]:
    """Newest first; see ``app.database.paging.page``."""
    return paging.page(session, EvidenceRow, **wanted)


def newest(
    session: Session,
    *,
    claims: Collection[str] | None = None,
    page: str | None = None,
    fingerprint: str | None = None,
) -> list[EvidenceRow]:
    """Of every question the row that answered it last, newest first. ``claims`` are full ids; the
    other filters are values that the column must have, ``None`` for any."""
    row = EvidenceRow
    wanted = paging.equal_to({row.page: page, row.fingerprint: fingerprint})
    if claims is not None:
        wanted.append(row.claim.in_(list(claims)))
    last = select(func.max(row.id)).where(*wanted).group_by(row.question)
    statement = select(row).where(row.id.in_(last)).order_by(row.id.desc())
    return list(session.execute(statement).scalars())
