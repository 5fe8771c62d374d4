"""All SQL about answers that are kept for repeated requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models import IdempotentReplyRow


@dataclass(frozen=True)
class Reply:
    """An answer, as it is sent."""

    status: int
    body: str
    """JSON text; empty for none."""
    location: str | None = None


@dataclass(frozen=True)
class Request:
    """What tells two requests with an ``Idempotency-Key`` apart."""

    caller: str
    operation: str
    key: str
    request_hash: str


def find(session: Session, request: Request) -> tuple[str, Reply] | None:
    """The hash of the request that the key was first given with, and what it was answered."""
    row = session.execute(
        select(IdempotentReplyRow).where(
            IdempotentReplyRow.caller == request.caller,
            IdempotentReplyRow.operation == request.operation,
            IdempotentReplyRow.key == request.key,
        )
    ).scalar_one_or_none()
    return None if row is None else (row.request_hash, Reply(row.status, row.body, row.location))


def reserve(session: Session, request: Request) -> IdempotentReplyRow:
    """Take the key, before anything is done under it: another process that has the same in mind
    waits for this transaction. Raises ``IntegrityError`` when the key is taken."""
    row = IdempotentReplyRow(
        caller=request.caller,
        operation=request.operation,
        key=request.key,
        request_hash=request.request_hash,
        status=0,
        location=None,
        body="",
        created_at=utc_now(),
    )
    session.add(row)
    session.flush()
    return row


def settle(row: IdempotentReplyRow, reply: Reply) -> None:
    row.status, row.body, row.location = reply.status, reply.body, reply.location


def forget(session: Session, before: datetime) -> None:
    """Keys from before then may be used anew."""
    session.execute(delete(IdempotentReplyRow).where(IdempotentReplyRow.created_at < before))
