"""Doing a thing once, however often it is asked for with the same ``Idempotency-Key``.

The key, what is done under it and what was answered are committed together: after a crash at any
moment either all of them are there or none is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.clock import utc_now
from app.database import Database
from app.errors import IdempotencyConflict
from app.http import idempotency_repository as repository
from app.http.idempotency_repository import Reply, Request
from app.http.runtime import Caller
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
        description="Any text of your choice, such as a UUID, that stands for this request: sent "
        "again with it within 48 hours, it is answered as before and nothing is done twice.",
        examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    ),
]


def request(
    caller: Caller, operation: str, key: str | None, body: BaseModel | None = None
) -> Request | None:
    """What is asked, as far as it matters for asking it again; ``None`` without a key."""
    if key is None:
        return None
    content = None if body is None else body.model_dump(mode="json")
    return Request(caller.id, operation, key, short_hash(content))


def of_caller(caller: Caller, key: str | None) -> str | None:
    """The key as it is kept where callers are not told apart: those of two never meet."""
    return None if key is None else f"{caller.id}:{key}"


def once(database: Database, request: Request | None, perform: Callable[[Session], Reply]) -> Reply:
    """What ``perform`` answers, or what it answered when it was first asked for.

    ``perform`` works in the given transaction and in no other. ``request`` is ``None`` for one
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


def _found(session: Session, request: Request) -> Reply | None:
    known = repository.find(session, request)
    if known is None:
        return None
    request_hash, reply = known
    if request_hash != request.request_hash:
        raise IdempotencyConflict(
            f"The Idempotency-Key {request.key!r} was used before, for another body."
        )
    return reply


def _performed(session: Session, request: Request, perform: Callable[[Session], Reply]) -> Reply:
    repository.forget(session, utc_now() - KEPT)
    row = repository.reserve(session, request)
    reply = perform(session)
    repository.settle(row, reply)
    return reply


def answer(reply: Reply) -> Response:
    headers = {"Location": reply.location} if reply.location else None
    media_type = "application/json" if reply.body else None
    return Response(reply.body, reply.status, headers=headers, media_type=media_type)
