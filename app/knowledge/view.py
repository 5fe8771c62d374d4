"""Pages and their graph as the HTTP interface shows them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from app.database.models.knowledge import EvidenceRow
from app.knowledge.schemas import (
    ClaimOut,
    GraphOut,
    LinkOut,
    NodeOut,
    PageDetail,
    PageListOut,
    PagesQuery,
    PageSummaryOut,
    SourceOut,
)
from knowledge.graph import Graph
from knowledge.library import Library
from knowledge.model import Page


def listed(library: Library, query: PagesQuery) -> PageListOut:
    """A part of the pages."""
    if query.q is not None:
        matches = library.search(query.q, len(library.pages))
        pages = [match.page for match in matches if query.type in (None, match.page.type)]
        return PageListOut(items=_summaries(library, pages[: query.limit]), next_cursor=None)
    names = [name for name, page in library.pages.items() if query.type in (None, page.type)]
    begin = bisect_right(names, query.cursor) if query.cursor is not None else 0
    shown = names[begin : begin + query.limit]
    is_more = begin + query.limit < len(names)
    items = _summaries(library, [library.pages[name] for name in shown])
    return PageListOut(items=items, next_cursor=shown[-1] if is_more else None)


def summary(library: Library, page: Page) -> PageSummaryOut:
    """A page in short."""
    return PageSummaryOut(
        name=page.full_name,
        type=page.type,
        overview=page.overview,
        domains=list(page.domains),
        claims=len(page.claims),
        is_builtin=library.is_builtin(page),
    )


def detail(library: Library, page: Page, rows: Sequence[EvidenceRow]) -> PageDetail:
    """A page with its claims; ``rows`` is the newest evidence of them."""
    links = dict.fromkeys((edge.kind, f"{edge.target_type}:{edge.target}") for edge in page.edges)
    return PageDetail(
        **summary(library, page).model_dump(),
        text=page.text,
        sources=[SourceOut.model_validate(source) for source in page.sources],
        last_updated=page.last_updated,
        links=[LinkOut(source=page.full_name, kind=k, target=target) for k, target in links],
        measurable=[
            ClaimOut.of(claim, [row for row in rows if row.claim == claim.full_id])
            for claim in page.claims
        ],
    )


def graph(found: Graph) -> GraphOut:
    """A graph, sorted by name."""
    return GraphOut(
        nodes=[
            NodeOut(name=node.full_name, type=str(node.type), exists=node.exists)
            for node in found.nodes
        ],
        edges=[
            LinkOut(source=edge.source, kind=edge.kind, target=edge.target) for edge in found.edges
        ],
    )


def _summaries(library: Library, pages: Sequence[Page]) -> list[PageSummaryOut]:
    return [summary(library, page) for page in pages]
