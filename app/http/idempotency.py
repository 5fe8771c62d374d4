"""Doing a thing once, however often it is asked for with the same ``Idempotency-Key``.

The key, what is done under it and the answer are committed together: after a crash at any moment,
either all of them are stored or none of them is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.clock import utc_now
from app.database import Database
from app.database.models.serving import IdempotentReplyRow
from app.database.upsert import write_again
from app.errors import IdempotencyConflict
from app.http.caller import Caller
from optimizer.records import short_hash

KEPT = timedelta(hours=48)
"""How long a key stands for its request."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,200}$",
        description="Any text of your choice, such as a UUID, that identifies this request. "
        "Sent again with the same key within 48 hours, the request gets the same answer and is "
        "not carried out twice.",
        examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    ),
]


@dataclass(frozen=True)
class Request:
    """What tells two requests with an ``Idempotency-Key`` apart."""

    caller: str
    operation: str
    key: str
    request_hash: str


def request(
    caller: Caller, operation: str, key: str | None, body: BaseModel | None = None
) -> Request | None:
    """Identifies the request if it is sent again; ``None`` without a key."""
    if key is None:
        return None
    content = None if body is None else body.model_dump(mode="json")
    return Request(caller.id, operation, key, short_hash(content))


def of_caller(caller: Caller, key: str | None) -> str | None:
    """The key, prefixed with its caller: the same key of two callers means two requests."""
    return None if key is None else f"{caller.id}:{key}"


def once(
    database: Database, request: Request | None, perform: Callable[[Session], Response]
) -> Response:
    """The answer of ``perform``, or its answer when the request was first sent.

    ``perform`` must work in the given transaction only, and answer with JSON. ``request`` is
    ``None`` for a request without a key. Raises ``IdempotencyConflict`` for a key that stands for
    another request.
    """
    if request is None:
        with database.write() as session:
            return perform(session)
    return write_again(
        database,
        lambda session: _found(session, request) or _performed(session, request, perform),
        "Other clients keep sending the same request. Try again.",
    )


def _found(session: Session, request: Request) -> Response | None:
    row = session.execute(
        select(IdempotentReplyRow).where(
            IdempotentReplyRow.caller == request.caller,
            IdempotentReplyRow.operation == request.operation,
            IdempotentReplyRow.key == request.key,
        )
    ).scalar_one_or_none()
    if row is None:
        return None
    if row.request_hash != request.request_hash:
        raise IdempotencyConflict(
            f"The Idempotency-Key {request.key!r} was used before, for another body."
        )
    headers = {"Location": row.location} if row.location else None
    return Response(row.body, row.status, headers, media_type="application/json")


def _performed(
    session: Session, request: Request, perform: Callable[[Session], Response]
) -> Response:
    """Reserve the key first: another process with the same request then waits for this transaction.
    Raises ``IntegrityError`` when the key is taken."""
    now = utc_now()
    session.execute(delete(IdempotentReplyRow).where(IdempotentReplyRow.created_at < now - KEPT))
    row = IdempotentReplyRow(**asdict(request), status=0, body="", created_at=now)
    session.add(row)
    session.flush()
    answer = perform(session)
    row.status, row.location = answer.status_code, answer.headers.get("location")
    row.body = bytes(answer.body).decode()
    return answer
