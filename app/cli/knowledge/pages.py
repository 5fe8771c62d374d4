"""Pages and what was measured of them, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.cli.output import stdout

if TYPE_CHECKING:
    from app.database.models.knowledge import EvidenceRow
    from knowledge.library import Library
    from knowledge.model import Page
    from knowledge.searching import Match

NOT_MEASURED = "not measured here; measure it with: tonnage knowledge measure {page}"


def document(library: Library, page: Page, rows: Sequence[EvidenceRow]) -> dict[str, Any]:
    """What ``show --json`` prints: as ``GET /v1/knowledge/pages/NAME``."""
    from app.knowledge.view import detail

    found: dict[str, Any] = detail(library, page, rows).model_dump(mode="json")
    return {**found, "path": str(page.path) if page.path else None}


def show(library: Library, page: Page, rows: Sequence[EvidenceRow]) -> None:
    """Print a page as text, then each claim beside what was measured."""
    from knowledge.rendering import to_text

    console = stdout()
    console.print(f"[bold]{page.full_name}[/bold]")
    if page.path is not None and not library.is_builtin(page):
        console.print(f"{page.path}{_shadows(library, page)}", markup=False)
    console.print(to_text(page).rstrip(), markup=False)
    if page.claims:
        console.print("\n[bold]Claimed, and measured here[/bold]")
    for claim in page.claims:
        console.print(f"  {claim.id}: {claim.text}", markup=False)
        own = [row for row in rows if row.claim == claim.full_id]
        for row in own:
            console.print(f"    {evidence_line(row)}", markup=False)
        if not own:
            console.print(f"    {NOT_MEASURED.format(page=page.name)}", markup=False)


def evidence_line(row: EvidenceRow) -> str:
    """``refuted on transformer, cpu, 2026-01-02: Claimed: … Here: …``."""
    where = f"on {row.workload}, {row.device}, {row.measured_at:%Y-%m-%d}"
    return f"{row.verdict} {where}: {row.reason}"


def show_matches(matches: Sequence[Match]) -> None:
    """Print the pages that a search has found, the best first."""
    console = stdout()
    for match in matches:
        console.print(f"[bold]{match.page.full_name}[/bold]")
        console.print(f"  {match.excerpt}", markup=False)


def matches_document(library: Library, matches: Sequence[Match]) -> dict[str, Any]:
    """What ``search --json`` prints."""
    from app.knowledge.view import summary

    return {
        "pages": [
            {**summary(library, match.page).model_dump(mode="json"), "excerpt": match.excerpt}
            for match in matches
        ]
    }


def _shadows(library: Library, page: Page) -> str:
    if any(each.full_name == page.full_name for each in library.shadowed):
        return " (replaces the built-in page of this name)"
    return ""
