"""Doing a thing once, however often it is asked for with the same ``Idempotency-Key``.

The key, what is done under it and the answer are committed together: after a crash at any moment,
either all of them are stored or none of them is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.clock import utc_now
from app.database import Database
from app.database.models import IdempotentReplyRow
from app.errors import IdempotencyConflict
from app.http.caller import Caller
from optimizer.records import short_hash
from probes.errors import MeasurementError

KEPT = timedelta(hours=48)
"""How long a key stands for its request."""

_ATTEMPTS = 5

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
class Reply:
    """An answer, as it is sent."""

    status: int
    body: str
    """JSON text; may be empty."""
    location: str | None = None


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


def once(database: Database, request: Request | None, perform: Callable[[Session], Reply]) -> Reply:
    """The answer of ``perform``, or its answer when the request was first sent.

    ``perform`` must work in the given transaction only. ``request`` is ``None`` for a request
    without a key. Raises ``IdempotencyConflict`` for a key that stands for another request.
    """
    if request is None:
        with database.write() as session:
            return perform(session)
    for _ in range(_ATTEMPTS):
        try:
            with database.write() as session:
                return _found(session, request) or _performed(session, request, perform)
        except IntegrityError:  # another process was quicker: look at what it did
            continue
    raise MeasurementError("Others keep sending the same request; try again.")


def answer(reply: Reply) -> Response:
    headers = {"Location": reply.location} if reply.location else None
    media_type = "application/json" if reply.body else None
    return Response(reply.body, reply.status, headers=headers, media_type=media_type)


def _found(session: Session, request: Request) -> Reply | None:
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
    return Reply(row.status, row.body, row.location)


def _performed(session: Session, request: Request, perform: Callable[[Session], Reply]) -> Reply:
    """Reserve the key first: another process with the same request then waits for this transaction.
    Raises ``IntegrityError`` when the key is taken."""
    now = utc_now()
    session.execute(delete(IdempotentReplyRow).where(IdempotentReplyRow.created_at < now - KEPT))
    row = IdempotentReplyRow(
        caller=request.caller,
        operation=request.operation,
        key=request.key,
        request_hash=request.request_hash,
        status=0,
        location=None,
        body="",
        created_at=now,
    )
    session.add(row)
    session.flush()
    reply = perform(session)
    row.status, row.body, row.location = reply.status, reply.body, reply.location
    return reply
