"""``/studies/{id}``: one study, while it runs and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Header, Path, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.charts.capacity import Spot, capacity_figure
from app.dashboard.charts.figure import Figure
from app.dashboard.forms import FormDep
from app.dashboard.page import page
from app.dashboard.views.space import rows_of
from app.dashboard.views.study_log import log_lines
from app.http.fields import LARGEST
from app.http.resource import pages
from app.http.runtime import Service, ServiceDep
from app.http.security import Runner
from app.measurements import repository as measurements
from app.studies import progress as studies
from app.studies import service as jobs
from app.studies.progress import StudyProgress
from app.studies.routes import StudyId
from app.tuning.trial_repository import Sort, TrialQuery
from optimizer.budgets import Budget
from optimizer.records import TrialState
from probes.space import dimension_from_dict

PER_PAGE = 50
MOST_OFTEN_S = 1.0
"""A page is notified of changes at most this often."""
RETRY_MS = 2000

router = pages()


class TrialsAsked(BaseModel):
    """Query of the table of trials: filters, order, page."""

    model_config = ConfigDict(extra="ignore")

    state: Annotated[str, Field(max_length=16)] = ""
    q: Annotated[str, Field(max_length=200)] = ""
    sort: Sort = "number"
    order: Annotated[str, Field(pattern="^(asc|desc)$")] = "desc"
    page: Annotated[int, Field(ge=1, le=LARGEST)] = 1

    def query(self) -> TrialQuery:
        return TrialQuery(self.state or None, self.q, self.sort, self.order == "desc")

    def address(self, study_id: str, **changes: Any) -> str:
        """The address of the same table with some parameters changed."""
        plain = TrialsAsked().model_dump()
        given = {**self.model_dump(), **changes}
        query = urlencode({name: value for name, value in given.items() if value != plain[name]})
        return f"/studies/{study_id}" + (f"?{query}" if query else "") + "#trials"

    def sorted_by(self, study_id: str, sort: str) -> str:
        """The address that a column heading links to: largest first, then reversed."""
        turned = self.sort == sort and self.order == "desc"
        return self.address(study_id, sort=sort, order="asc" if turned else "desc", page=1)


Asked = Annotated[TrialsAsked, Query()]


@router.get("/studies/{study_id}")
def study(request: Request, service: ServiceDep, study_id: StudyId, asked: Asked) -> Response:
    return page(request, "study.html", _context(service, study_id, asked))


@router.get("/studies/{study_id}/live")
def live(request: Request, service: ServiceDep, study_id: StudyId, asked: Asked) -> Response:
    """The parts of the page that are refreshed."""
    return page(request, "study_live.html", _context(service, study_id, asked))


@router.get("/studies/{study_id}/trials/{number}")
def trial(
    request: Request,
    service: ServiceDep,
    study_id: StudyId,
    number: Annotated[int, Path(ge=0, lt=2**31)],
) -> Response:
    """One config, with its measurements and the last output of its process."""
    found, settled = studies.trial(service.database, study_id, number)
    with service.database.read() as session:
        runs = measurements.of_trial(session, str(found.answered_by), number)
    return page(request, "trial.html", {"study": found, "trial": settled, "runs": runs})


@router.post("/studies/{study_id}/cancel")
def cancel(service: ServiceDep, caller: Runner, study_id: StudyId, form: FormDep) -> Response:
    jobs.cancel(service.database, study_id)
    return RedirectResponse(f"/studies/{study_id}", 303)


@router.get("/studies/{study_id}/changes", response_class=EventSourceResponse)
async def changes(
    service: ServiceDep,
    study_id: StudyId,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    last_event_id: Annotated[int, Header(ge=0, le=LARGEST, alias="Last-Event-ID")] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Events that say that something changed, not what; the page then fetches what it shows. A
    browser reconnects by itself after losing the connection."""
    seen = max(after, last_event_id)
    while not service.ending.is_set():
        newest, is_over = await run_in_threadpool(studies.last_event, service.database, study_id)
        if newest > seen or is_over:
            seen = newest
            kind = "over" if is_over else "changed"
            yield ServerSentEvent(data=seen, event=kind, id=str(seen), retry=RETRY_MS)
            if is_over:
                return
        await asyncio.sleep(max(MOST_OFTEN_S, service.settings.service.event_poll_s))


def _context(service: Service, study_id: str, asked: TrialsAsked) -> dict[str, Any]:
    found = studies.progress(service.database, study_id)
    table = studies.trial_page(
        service.database, found.view.answered_by, asked.query(), asked.page, PER_PAGE
    )
    spec = found.study.spec if found.study else {}
    space = {name: dimension_from_dict(d) for name, d in spec.get("space", {}).items()}
    return {
        "found": found,
        "study": found.view,
        "spec": spec,
        "space": rows_of(space),
        "figure": figure(found),
        "table": table,
        "asked": asked,
        "trial_states": list(TrialState),
        "log": log_lines(found.log),
    }


def figure(found: StudyProgress) -> Figure:
    """Throughput against capacity of the configs measured so far."""
    loss = Budget.from_dict(found.study.spec["budget"]).accepted_loss if found.study else None
    return capacity_figure(
        [
            Spot(
                config=found.configs[each.number],
                batch_size=each.batch_size,
                parameters=each.parameters,
                throughput_samples_per_s=each.throughput_samples_per_s,
                fits_window=each.fits_window,
                is_incumbent=each.number == found.incumbent,
            )
            for each in found.points
            if each.parameters is not None
        ],
        loss,
        "best so far" if found.is_active else "best",
        left_out=found.undrawn,
    )
