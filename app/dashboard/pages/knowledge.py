"""``/knowledge``: pages to read and search, their diagrams, and their claims measured here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.ablations import service as ablations
from app.ablations.routes import AblationId
from app.dashboard.device_choices import device_choices
from app.dashboard.diagram import WITH_DIAGRAMS, diagram
from app.dashboard.forms import FormDep
from app.dashboard.listing import FilterField, given, options
from app.dashboard.page import Filter, page
from app.dashboard.views.knowledge import (
    body_of,
    claim_lines,
    diagram_of,
    neighbours,
)
from app.errors import NotFound
from app.http.resource import pages
from app.http.runtime import Service, ServiceDep
from app.http.security import Runner
from app.jobs.waiting import waits_for
from app.knowledge import service as evidence
from app.knowledge.library import find_page, library_of
from app.knowledge.request import AblationPost
from app.knowledge.routes import NameInPath
from app.workloads.registry import registered
from knowledge.graph import Graph
from knowledge.model import PageType
from probes.errors import InputError

SHOWN_ABLATIONS = 5
LOOKED_AT = 200
"""Newest ablations among which those of a page are looked for."""

router = pages()


@router.get("/knowledge")
def listing(
    request: Request,
    service: ServiceDep,
    q: Filter = "",
    type_: Annotated[str, Query(alias="type", max_length=32)] = "",
) -> Response:
    library = library_of(service.settings)
    if q:
        found = [match.page for match in library.search(q, len(library.pages))]
    else:
        found = list(library.pages.values())
    shown = [each for each in found if type_ in ("", each.type.value)]
    rows = evidence.newest(service.database)
    context = {
        "shown": shown,
        "is_filtered": bool(given(q=q, type=type_)),
        "q": q,
        "filters": [FilterField("type", "Type", type_, options(list(PageType)))],
        "counts": _counts(rows),
        "builtin": {each.full_name for each in shown if library.is_builtin(each)},
        "unreadable": library.unreadable,
    }
    return page(request, "knowledge.html", context)


@router.get("/knowledge/claims")
def claims(request: Request, service: ServiceDep, fingerprint: Filter = "") -> Response:
    library = library_of(service.settings)
    everything = evidence.newest(service.database)
    rows = [row for row in everything if fingerprint in ("", row.fingerprint)]
    devices = {row.fingerprint: f"{row.device} ({row.fingerprint})" for row in everything}
    context = {
        "lines": claim_lines(library.claims().values(), rows),
        "filters": [
            FilterField("fingerprint", "Device", fingerprint, list(devices.items())),
        ],
    }
    return page(request, "knowledge_claims.html", context)


@router.get("/knowledge/pages/{name}")
def knowledge_page(request: Request, service: ServiceDep, name: NameInPath) -> Response:
    return _page(request, service, name)


@router.get("/knowledge/pages/{name}/diagram")
def page_diagram(
    request: Request,
    service: ServiceDep,
    name: NameInPath,
    number: Annotated[int, Query(ge=0, le=100)] = 0,
) -> Response:
    """One diagram of the page, for a frame."""
    library = library_of(service.settings)
    found = find_page(library, name)
    source = diagram_of(found, library, number)
    if source is None:
        raise NotFound(f"{found.full_name} has no such diagram.")
    return diagram(request, f"Diagram of {found.name.replace('_', ' ')}", source)


@router.get("/knowledge/pages/{name}/neighbourhood")
def neighbourhood(
    request: Request,
    service: ServiceDep,
    name: NameInPath,
    depth: Annotated[int, Query(ge=1, le=3)] = 1,
) -> Response:
    """The pages around it, drawn, for a frame."""
    library = library_of(service.settings)
    found = find_page(library, name)
    source = Graph(library).neighbourhood(found.full_name, depth).to_mermaid()
    return diagram(request, f"Pages around {found.name.replace('_', ' ')}", source)


@router.post("/knowledge/pages/{name}/measure")
def start(
    request: Request, service: ServiceDep, caller: Runner, name: NameInPath, form: FormDep
) -> Response:
    """Start the ablations of the page's claims."""
    try:
        chosen = {each: form[each] or None for each in ("workload", "device")}
        asked = AblationPost.checked({"page": name, **chosen})
        jobs = ablations.submit(service.database, service.settings, asked)
    except NotFound:
        raise
    except InputError as error:
        return _page(request, service, name, problem=str(error), status=422)
    service.work_arrived()
    return RedirectResponse(f"/knowledge/ablations/{jobs[0].id}", 303)


@router.get("/knowledge/ablations/{ablation_id}")
def ablation(request: Request, service: ServiceDep, ablation_id: AblationId) -> Response:
    return page(request, "ablation.html", _ablation(service, ablation_id))


@router.get("/knowledge/ablations/{ablation_id}/live")
def live(request: Request, service: ServiceDep, ablation_id: AblationId) -> Response:
    """The part of the page that is refreshed."""
    return page(request, "_ablation.html", _ablation(service, ablation_id))


@router.post("/knowledge/ablations/{ablation_id}/cancel")
def cancel(service: ServiceDep, caller: Runner, ablation_id: AblationId, form: FormDep) -> Response:
    ablations.cancel(service.database, ablation_id)
    return RedirectResponse(f"/knowledge/ablations/{ablation_id}", 303)


def _page(
    request: Request, service: Service, name: str, *, problem: str = "", status: int = 200
) -> Response:
    library = library_of(service.settings)
    found = find_page(library, name)
    graph = Graph(library).neighbourhood(found.full_name, 1)
    rows = evidence.newest(service.database, page=found.full_name)
    shadows = any(each.full_name == found.full_name for each in library.shadowed)
    context = {
        "page": found,
        "title": found.name.replace("_", " "),
        "body": body_of(found, library),
        "lines": claim_lines(found.claims, rows),
        "neighbours": neighbours(graph, found, library),
        "is_builtin": library.is_builtin(found),
        "shadows": shadows,
        "ablations": ablations.of_page(service.database, found.full_name, LOOKED_AT)[
            :SHOWN_ABLATIONS
        ],
        "problem": problem,
        "workloads": sorted(registered(service.settings)) if found.claims else [],
        "devices": device_choices(service) if found.claims else {},
    }
    return page(request, "knowledge_page.html", context, status=status, headers=WITH_DIAGRAMS)


def _ablation(service: Service, ablation_id: str) -> dict[str, Any]:
    found = ablations.get(service.database, ablation_id)
    job = found.job
    return {
        "found": found,
        "job": job,
        "asked": job.ablation,
        "waits": waits_for(service.database, job),
    }


def _counts(rows: list[Any]) -> dict[str, dict[str, int]]:
    """By page: how many of the newest answers are of each verdict."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        counts = found.setdefault(row.page, {})
        counts[row.verdict] = counts.get(row.verdict, 0) + 1
    return found
