"""``/v1/knowledge``: pages, their graph, and evidence. What is measured is in ``app.ablations``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.paging import Page, listed
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.knowledge import repository, view
from app.knowledge import service as evidence
from app.knowledge.library import explained, find_page, library_of
from app.knowledge.schemas import (
    EvidenceOut,
    EvidenceQuery,
    GraphOut,
    GraphQuery,
    PageDetail,
    PageListOut,
    PagesQuery,
)
from knowledge.graph import Graph

router = resource("knowledge", "/v1/knowledge")

NameInPath = Annotated[
    str,
    Path(
        pattern=r"^[^\x00-\x1f\x7f/]{1,255}$",
        description="Name of the page, with or without its type.",
        examples=["Heuristic:Gradient_Checkpointing"],
    ),
]
EvidenceId = Annotated[str, id_in_path("evidence", "evi_1k0rr48nvttvb71401qp")]


@router.get("/pages", summary="List knowledge pages")
def list_pages(
    service: ServiceDep, caller: Reader, query: Annotated[PagesQuery, Query()]
) -> PageListOut:
    """Pages by name. With `q`, those that contain every word, best match first, on one page."""
    return view.listed(library_of(service.settings), query)


@router.get("/pages/{name}", summary="Read a knowledge page", responses=problems(types.NOT_FOUND))
def read_page(service: ServiceDep, caller: Reader, name: NameInPath) -> PageDetail:
    """One page as it is written, its links, and its claims with what was measured of them here."""
    library = library_of(service.settings)
    page = find_page(library, name)
    rows = evidence.newest(service.database, page=page.full_name)
    return view.detail(library, page, rows)


@router.get("/graph", summary="Read the graph of pages", responses=problems(types.NOT_FOUND))
def read_graph(
    service: ServiceDep, caller: Reader, query: Annotated[GraphQuery, Query()]
) -> GraphOut:
    """Pages and the links between them: all, or those near one page."""
    library = library_of(service.settings)
    graph = Graph(library)
    if query.page is not None:
        with explained():
            page = find_page(library, query.page)
            graph = graph.neighbourhood(page.full_name, query.depth)
    return view.graph(graph)


@router.get("/evidence", summary="List evidence")
def list_evidence(
    service: ServiceDep, caller: Reader, query: Annotated[EvidenceQuery, Query()]
) -> Page[EvidenceOut]:
    """What was measured of the claims of pages, newest first."""
    return listed(service.database, repository.page, query, EvidenceOut.of)


@router.get("/evidence/{evidence_id}", summary="Read evidence", responses=problems(types.NOT_FOUND))
def read_evidence(service: ServiceDep, caller: Reader, evidence_id: EvidenceId) -> EvidenceOut:
    """One claim as it was measured once."""
    return EvidenceOut.of(evidence.get(service.database, evidence_id))
