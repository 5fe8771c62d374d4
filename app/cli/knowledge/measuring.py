"""``tonnage knowledge measure``: the ablations behind the claims of pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.cli.context import find_workload
from app.cli.output import stdout
from app.cli.progress import ProgressDisplay
from probes.errors import InputError
from probes.formatting import size_text

if TYPE_CHECKING:
    from app.database import Database
    from app.database.models.knowledge import EvidenceRow
    from app.knowledge.measuring import ClaimsOnWorkload
    from app.machine.target import Target
    from app.settings import Settings
    from knowledge.claims import Claim
    from knowledge.library import Library
    from optimizer.ablation import AblationEvent

ALL = "all"


@dataclass(frozen=True)
class MeasureCommand:
    """What was asked for."""

    name: str
    """Name of a page, or ``all``."""
    claims: Sequence[str] = ()
    workload: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    pinned: dict[str, Any] = field(default_factory=dict)
    device: str | None = None
    memory_budget_bytes: int | None = None
    python: str | None = None


def claims_of(library: Library, command: MeasureCommand) -> list[Claim]:
    """The claims to measure. Raises ``InputError`` where there are none."""
    from app.knowledge.library import find_page
    from app.knowledge.measuring import chosen

    if command.name == ALL:
        pages = list(library.pages.values())
    else:
        pages = [find_page(library, command.name)]
    found = chosen([claim for page in pages for claim in page.claims], command.claims)
    if not found:
        what = "No page makes a" if command.name == ALL else f"{pages[0].full_name} makes no"
        raise InputError(
            f"{what} claim that can be measured. docs/knowledge.md shows how a page states one."
        )
    return found


def groups_of(
    settings: Settings, claims: Sequence[Claim], command: MeasureCommand
) -> list[ClaimsOnWorkload]:
    """The claims by the workload that they are measured on. Raises ``InputError``."""
    from app.knowledge.measuring import ClaimsOnWorkload, by_workload

    if command.workload is None:
        if command.options:
            raise InputError("--option sets a parameter of the workload that --workload names.")
        return by_workload(settings, claims, pinned=command.pinned)
    reference, python = find_workload(settings, command.workload, command.options)
    return [ClaimsOnWorkload(reference, python, claims, command.pinned)]


def measure(
    settings: Settings, database: Database, library: Library, command: MeasureCommand
) -> list[EvidenceRow]:
    """Measure, showing progress on stderr. Evidence is committed claim by claim."""
    from app.knowledge.measuring import Watch, memory_of, question
    from app.knowledge.measuring import measure as measure_group
    from app.machine.target import open_single

    groups = groups_of(settings, claims_of(library, command), command)
    for group in groups:
        for claim in group.claims:
            question(claim, "", {}, group.pinned)  # wrong ones before anything runs
    targets: dict[str | None, Target] = {}
    rows: list[EvidenceRow] = []
    with ProgressDisplay() as progress:
        watch = Watch(
            step=lambda event: _tell(progress, event),
            evidence=lambda row, evidence: progress.line(f"{row.claim}: {row.verdict}"),
            worker=progress.worker,
            waiting=progress.waiting,
        )
        try:
            for group in groups:
                python = command.python or group.python
                if python not in targets:
                    targets[python] = open_single(
                        settings,
                        python,
                        command.device,
                        command.memory_budget_bytes,
                        "An ablation",
                    )
                if command.workload is not None:  # wrong input is an error, and no evidence
                    targets[python].prober.describe(group.workload)
                limit = memory_of(group, targets[python])
                within = f", within {size_text(limit)}" if limit is not None else ""
                progress.line(f"On {group.workload.label}{within}:")
                rows += measure_group(settings, database, group, targets[python], watch)
        finally:
            for target in targets.values():
                target.prober.close()
    return rows


def document(rows: Sequence[EvidenceRow]) -> dict[str, Any]:
    """What ``--json`` prints: evidence as ``GET /v1/knowledge/evidence`` shows it."""
    from app.knowledge.schemas import EvidenceOut

    return {"evidence": [EvidenceOut.of(row).model_dump(mode="json") for row in rows]}


def exit_code(rows: Sequence[EvidenceRow]) -> int:
    """0 if at least one claim was measured, whatever it came to; 3 if none could be."""
    return 0 if any(row.document["ending"] == "measured" for row in rows) else 3


def show(rows: Sequence[EvidenceRow]) -> None:
    """Print what each claim came to."""
    console = stdout()
    styles = {"confirmed": "green", "refuted": "red"}
    for row in rows:
        style = styles.get(row.verdict, "yellow")
        console.print(f"[{style}]{row.verdict}[/{style}]  [bold]{row.claim}[/bold]")
        console.print(f"  {row.document['text']}", markup=False)
        console.print(f"  {row.reason}", markup=False)
        for note in row.document.get("notes") or []:
            console.print(f"  Note: {note}", markup=False)


def _tell(progress: ProgressDisplay, event: AblationEvent) -> None:
    if event.kind == "answered":
        return  # said when it is stored
    progress.doing(event.text, event.done or None, event.of or None)
    if event.kind in ("arms", "batch", "search"):
        progress.line(event.text)
