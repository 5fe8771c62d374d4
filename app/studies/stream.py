"""The events of a study as a stream that can be broken off and taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from app.database import Database
from app.jobs import events, service
from app.jobs.records import JobEvent
from app.service.reply import finite
from app.studies.schemas import StudyEvent

RETRY_MS = 2000
"""After which a browser that lost the connection comes back."""


async def stream(
    database: Database, study_id: str, after: int, poll_s: float
) -> AsyncIterator[ServerSentEvent]:
    """Every event with a number above ``after``, those to come as they happen; ends with the study.

    The database is read every ``poll_s`` seconds, in a thread: the events come from another
    process, perhaps of another host.
    """
    while True:
        new, is_over = await run_in_threadpool(_look, database, study_id, after)
        for event in new:
            after = event.id
            yield ServerSentEvent(
                data=finite(StudyEvent.of(event).model_dump(mode="json")),
                event=event.kind,
                id=str(event.id),
                retry=RETRY_MS,
            )
        if is_over and not new:
            return
        if not new:
            await asyncio.sleep(poll_s)


def _look(database: Database, study_id: str, after: int) -> tuple[list[JobEvent], bool]:
    """(The state first: events of a study that is over by then are all there.)"""
    is_over = service.get(database, study_id).is_over
    return events.read(database, study_id, after), is_over


def nothing_left(database: Database, study_id: str, after: int) -> bool:
    """Whether whoever has seen the events up to ``after`` has seen all there will ever be. Raises
    ``NotFound`` for what no runner runs."""
    new, is_over = _look(database, study_id, after)
    return is_over and not new
