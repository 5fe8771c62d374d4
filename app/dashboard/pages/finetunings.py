"""``/finetunings``: every fine-tuning, one of them while it trains, and several compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.charts.differences import difference_figures
from app.dashboard.charts.fine_tuning import training_figures
from app.dashboard.forms import Form, FormDep, chosen
from app.dashboard.listing import PER_PAGE, FilterField, Listing, given, options
from app.dashboard.page import Filter, page
from app.dashboard.views.fine_tuning import evaluations_of
from app.errors import Conflict, NotFound, NotInstalled
from app.finetuning_jobs import evaluations
from app.finetuning_jobs import service as jobs
from app.finetuning_jobs.evaluation_routes import EvaluationId
from app.finetuning_jobs.names import names_of
from app.finetunings import reading
from app.finetunings.comparison import Comparisons
from app.finetunings.evaluation_request import EvaluationPost
from app.finetunings.routes import FineTuningId
from app.finetunings.state import UNFINISHED, FineTuningState
from app.finetunings.tasks import task_options
from app.http.fields import LARGEST, Id
from app.http.resource import pages
from app.http.runtime import Service, ServiceDep
from app.http.security import Runner
from probes.errors import InputError
from probes.space_text import parse_assignments

MOST_OFTEN_S = 1.0
"""A page is notified of changes at most this often."""
RETRY_MS = 2000
MOST_COMPARED = 8
OFFERED = 50
"""Newest evaluated fine-tunings that the comparison offers."""
STRATEGIES = ("full", "lora", "qlora")

router = pages()


@router.get("/finetunings")
def listing(
    request: Request,
    service: ServiceDep,
    state: Filter = "",
    strategy: Filter = "",
    preset: Filter = "",
    model: Filter = "",
    device: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    wanted = given(state=state, strategy=strategy, preset=preset, model=model, device=device)
    found = reading.page(service.database, **wanted, before=before, limit=PER_PAGE + 1)
    context = {
        "listing": Listing.of("/finetunings", found, wanted, before),
        "filters": [
            FilterField("state", "State", state, options(list(FineTuningState))),
            FilterField("strategy", "Strategy", strategy, options(STRATEGIES)),
            FilterField("preset", "Preset", preset),
            FilterField("model", "Model", model),
            FilterField("device", "Device", device),
        ],
    }
    return page(request, "finetunings.html", context)


@router.get("/finetunings/compare")
def compare(
    request: Request,
    service: ServiceDep,
    run: Annotated[list[Id] | None, Query(max_length=MOST_COMPARED)] = None,
    baseline: Filter = "",
) -> Response:
    chosen = list(dict.fromkeys(run or []))
    comparison, problem = None, ""
    try:
        if chosen:
            comparison = service.part(Comparisons, Comparisons).compare(
                service.database, chosen, baseline or None
            )
    except (Conflict, NotFound, NotInstalled) as error:
        problem = str(error)
    recent = reading.page(service.database, limit=OFFERED)
    context = {
        "offered": [each for each in recent if each.evaluations],
        "chosen": chosen,
        "baseline": baseline,
        "comparison": comparison,
        "problem": problem,
        "figures": difference_figures(comparison) if comparison else [],
    }
    return page(request, "finetunings_compare.html", context)


@router.get("/finetunings/{finetuning_id}")
def finetuning(request: Request, service: ServiceDep, finetuning_id: FineTuningId) -> Response:
    return page(request, "finetuning.html", _context(service, finetuning_id))


@router.get("/finetunings/{finetuning_id}/live")
def live(request: Request, service: ServiceDep, finetuning_id: FineTuningId) -> Response:
    """The part of the page that is refreshed."""
    return page(request, "_finetuning.html", _context(service, finetuning_id))


@router.get("/finetunings/{finetuning_id}/changes", response_class=EventSourceResponse)
async def changes(
    service: ServiceDep,
    finetuning_id: FineTuningId,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    last_event_id: Annotated[int, Header(ge=0, le=LARGEST, alias="Last-Event-ID")] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Events that say that something changed; the page then fetches what it shows."""
    seen = max(after, last_event_id)
    while not service.ending.is_set():
        found = await run_in_threadpool(reading.get, service.database, finetuning_id)
        is_over = not await run_in_threadpool(jobs.is_going_on, service.database, finetuning_id)
        if found.changes > seen or is_over:
            seen = found.changes
            kind = "over" if is_over else "changed"
            yield ServerSentEvent(data=seen, event=kind, id=str(seen), retry=RETRY_MS)
            if is_over:
                return
        await asyncio.sleep(max(MOST_OFTEN_S, service.settings.service.event_poll_s))


@router.post("/finetunings/{finetuning_id}/cancel")
def cancel(
    service: ServiceDep, caller: Runner, finetuning_id: FineTuningId, form: FormDep
) -> Response:
    jobs.cancel(service.database, finetuning_id)
    return RedirectResponse(f"/finetunings/{finetuning_id}", 303)


@router.post("/finetunings/{finetuning_id}/resume")
def resume(
    service: ServiceDep, caller: Runner, finetuning_id: FineTuningId, form: FormDep
) -> Response:
    jobs.resume(service.database, finetuning_id)
    service.work_arrived()
    return RedirectResponse(f"/finetunings/{finetuning_id}", 303)


@router.post("/finetunings/{finetuning_id}/evaluate")
def evaluate(
    request: Request,
    service: ServiceDep,
    caller: Runner,
    finetuning_id: FineTuningId,
    form: FormDep,
) -> Response:
    try:
        asked = _evaluation(form)
        evaluations.submit(service.database, service.settings, finetuning_id, asked)
    except (NotFound, Conflict):
        raise
    except InputError as error:
        context = _context(service, finetuning_id, form, problem=str(error))
        return page(request, "finetuning.html", context, status=422)
    service.work_arrived()
    return RedirectResponse(f"/finetunings/{finetuning_id}", 303)


@router.post("/finetunings/{finetuning_id}/evaluations/{evaluation_id}/cancel")
def cancel_evaluation(
    service: ServiceDep,
    caller: Runner,
    finetuning_id: FineTuningId,
    evaluation_id: EvaluationId,
    form: FormDep,
) -> Response:
    evaluations.cancel(service.database, finetuning_id, evaluation_id)
    return RedirectResponse(f"/finetunings/{finetuning_id}", 303)


def _evaluation(form: Form) -> EvaluationPost:
    """The evaluation that the form requests. Raises ``InputError``."""
    tasks = chosen(form, "task")
    if not tasks:
        raise InputError("Choose at least one task.")
    label = "Options of tasks:"
    options = parse_assignments(form["options"].split(), label)
    return EvaluationPost.checked(
        {
            "tasks": tasks,
            "options": task_options(tasks, options, label),
            "baseline": form["baseline"] or None,
            "limit": form["limit"] or None,
        }
    )


def _job(service: Service, finetuning_id: str) -> jobs.FineTuningProgress | None:
    """``None`` for a fine-tuning of the command line."""
    try:
        return jobs.get(service.database, finetuning_id)
    except NotFound:
        return None


def _context(
    service: Service, finetuning_id: str, form: Form | None = None, *, problem: str = ""
) -> dict[str, Any]:
    found = reading.get(service.database, finetuning_id)
    queued = _job(service, finetuning_id)
    events = reading.events(service.database, finetuning_id)
    state = FineTuningState(found.state)
    asked = evaluations.listing(service.database, finetuning_id)
    names = names_of(service.database, service.settings)
    return {
        "run": found,
        "waits": queued.waits_for if queued is not None else "",
        "may_stop": queued is not None and not queued.job.is_over,
        "is_stopping": queued is not None and queued.job.cancel_requested,
        "may_resume": queued is not None and queued.job.is_over and state in UNFINISHED,
        "may_evaluate": queued is not None and state is FineTuningState.DONE,
        "is_of_service": queued is not None,
        "is_unfinished": state in UNFINISHED,
        "is_refused": state is FineTuningState.FAILED and found.facts.get("refused", False),
        "is_active": not state.is_terminal,
        "is_watched": jobs.is_going_on(service.database, finetuning_id),
        "asked_evaluations": asked,
        "tasks": names.tasks,
        "models": names.models,
        "form": form or Form(),
        "chosen_tasks": chosen(form, "task") if form is not None else ["language"],
        "problem": problem,
        "last": events[-1] if events else None,
        "figures": training_figures(found, events),
        "evaluations": evaluations_of(found),
        "batches": (found.fit or {}).get("batches") or {},
    }
