"""The events of a study as a stream that a client can leave and resume."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from app.database import Database
from app.errors import NotFound
from app.jobs import events
from app.jobs.records import JobEvent
from app.studies import service
from app.studies.schemas import StudyEventOut
from probes.errors import MeasurementError
from probes.formatting import finite

RETRY_MS = 2000
"""After which a browser that lost the connection comes back."""
AWAY_S = 0.5
"""Between two attempts to reach the database."""

log = logging.getLogger(__name__)


async def stream(
    database: Database,
    study_id: str,
    after: int,
    poll_s: float,
    goes_on: Callable[[], bool] = lambda: True,
) -> AsyncIterator[ServerSentEvent]:
    """Every event with a number above ``after``, those to come as they happen; ends with the study.

    The database is read every ``poll_s`` seconds, in a thread: the events come from another
    process, perhaps of another host. While it cannot be reached the stream waits. The stream ends
    if the study is deleted, and when ``goes_on`` says no: where the service is told to stop.
    """
    is_away = False
    while goes_on():
        try:
            new, is_over = await run_in_threadpool(_look, database, study_id, after)
            is_away = False
        except MeasurementError as error:
            if not is_away:
                log.warning("The event stream of %s waits: %s", study_id, error)
            is_away = True
            await asyncio.sleep(max(poll_s, AWAY_S))
            continue
        except NotFound:
            return
        for event in new:
            after = event.id
            yield ServerSentEvent(
                data=finite(StudyEventOut.model_validate(event).model_dump(mode="json")),
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
    """Whether no event will ever follow the one with the number ``after``. Raises ``NotFound`` for
    a study that no runner runs."""
    new, is_over = _look(database, study_id, after)
    return is_over and not new
