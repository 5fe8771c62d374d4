"""A knowledge page as the dashboard shows it: safe HTML with frames for its diagrams, and its
claims beside what was measured."""

from __future__ import annotations

import html
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from markupsafe import Markup

from app.database.models.knowledge import EvidenceRow
from knowledge.claims import Claim
from knowledge.graph import Graph
from knowledge.library import Library
from knowledge.model import Page
from knowledge.rendering import to_html
from optimizer.ablation import Quantity
from optimizer.ablation.judge import Change, change_text

DIAGRAM = re.compile(r'<pre class="mermaid">(.*?)</pre>', re.DOTALL)
"""As ``knowledge.rendering`` writes a diagram: its text, escaped."""
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
"""Tables scroll by themselves; they are not nested."""


@dataclass(frozen=True)
class ClaimLine:
    """A claim beside what was measured once; or beside nothing, where ``row`` is ``None``."""

    page: str
    id: str
    text: str
    row: EvidenceRow | None
    measured: str
    """The change and its interval in words; empty where nothing was measured."""

    @property
    def when(self) -> datetime | None:
        return self.row.measured_at if self.row is not None else None


@dataclass(frozen=True)
class Neighbour:
    """A page that is linked with another, and how."""

    name: str
    address: str
    """Empty where there is no such page."""
    words: str


def address_of(full_name: str) -> str:
    """The address of a page."""
    return f"/knowledge/pages/{quote(full_name, safe=':')}"


def body_of(page: Page, library: Library) -> Markup:
    """The page as HTML, each diagram in a frame of its own."""
    found = to_html(page, library, url_of=address_of)
    numbers = itertools.count()
    found = DIAGRAM.sub(lambda match: _frame(page, next(numbers)), found)
    return Markup(TABLE.sub(r"<div class=\"table\" tabindex=\"0\">\g<0></div>", found))


def diagram_of(page: Page, library: Library, number: int) -> str | None:
    """Mermaid's text of a diagram of the page, counted from 0; ``None`` without one."""
    found = DIAGRAM.findall(to_html(page, library, url_of=address_of))
    return html.unescape(found[number]) if number < len(found) else None


def claim_lines(claims: Iterable[Claim], rows: Sequence[EvidenceRow]) -> list[ClaimLine]:
    """Every claim with the newest evidence of each workload and device."""
    lines = []
    for claim in claims:
        own: list[EvidenceRow | None] = [row for row in rows if row.claim == claim.full_id]
        for row in own or [None]:
            lines.append(ClaimLine(claim.page, claim.id, claim.text, row, measured_text(row)))
    return lines


def measured_text(row: EvidenceRow | None) -> str:
    """``41 % (38–44) less``; empty where nothing was measured."""
    change = None if row is None else row.document.get("change")
    if row is None or change is None:
        return ""
    low, high = row.document.get("low"), row.document.get("high")
    bounds = (-math.inf if low is None else low, math.inf if high is None else high)
    return change_text(Quantity(row.quantity), Change(change, *bounds))


def neighbours(graph: Graph, page: Page, library: Library) -> list[Neighbour]:
    """What the drawing of a page's neighbourhood shows, as a list."""
    found = []
    for edge in graph.edges:
        if page.full_name not in (edge.source, edge.target):
            continue
        is_source = edge.source == page.full_name
        other = edge.target if is_source else edge.source
        kind = edge.kind.replace("_", " ")
        words = f"this page: {kind}" if is_source else f"{kind}: this page"
        address = address_of(other) if other in library.pages else ""
        found.append(Neighbour(other, address, words))
    return found


def _frame(page: Page, number: int) -> str:
    source = f"{address_of(page.full_name)}/diagram?number={number}"
    return frame(source, f"Diagram of {page.name.replace('_', ' ')}")


def frame(source: str, title: str) -> str:
    """A sandboxed frame; see ``app.dashboard.diagram``."""
    return (
        f'<iframe class="diagram" data-diagram sandbox="allow-scripts" loading="lazy" '
        f'src="{html.escape(source)}" title="{html.escape(title)}"></iframe>'
    )
