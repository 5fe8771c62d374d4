"""All SQL about API keys."""

from __future__ import annotations

from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.serving import ApiKeyRow
from app.http.caller import Scope
from app.keys.records import ApiKey


def add(session: Session, *, key_id: str, name: str, scope: Scope, token_hash: str) -> ApiKey:
    row = ApiKeyRow(
        id=key_id,
        name=name,
        scope=scope,
        token_hash=token_hash,
        created_at=utc_now(),
        revoked_at=None,
    )
    session.add(row)
    session.flush()
    return _record(row)


def of_token(session: Session, token_hash: str) -> ApiKey | None:
    """The key with this hash, revoked or not."""
    row = session.execute(
        select(ApiKeyRow).where(ApiKeyRow.token_hash == token_hash)
    ).scalar_one_or_none()
    return None if row is None else _record(row)


def with_hash(session: Session, key_id: str) -> tuple[ApiKey, str] | None:
    """The key with this id, revoked or not, and its hash."""
    row = session.get(ApiKeyRow, key_id)
    return None if row is None else (_record(row), row.token_hash)


def revoke(session: Session, key_id: str) -> ApiKey | None:
    """The revoked key, which keeps the time when it was first revoked; ``None`` without one."""
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        return None
    row.revoked_at = row.revoked_at or utc_now()
    return _record(row)


def listing(session: Session) -> list[ApiKey]:
    """Newest first, revoked ones too."""
    rows = session.execute(select(ApiKeyRow).order_by(ApiKeyRow.id.desc()))
    return [_record(row) for row in rows.scalars()]


def any_active(session: Session) -> bool:
    statement = select(ApiKeyRow.id).where(ApiKeyRow.revoked_at.is_(None)).limit(1)
    return session.execute(statement).first() is not None


def _record(row: ApiKeyRow) -> ApiKey:
    return ApiKey(row.id, row.name, cast(Scope, row.scope), row.created_at, row.revoked_at)
