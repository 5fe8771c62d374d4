"""From records to the claims: right answers, false leaks, false safety, and the price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.foreign.cases import Case
from benchmarks.foreign.contenders import BISECTION, OURS, SETTING
from benchmarks.max_batch.records import Search, WorkFile

CLOSE_ENOUGH = 0.97
"""Found over true from which an answer counts as right."""
MOST_PROBES = 7
OF_FLOOR = 1.5
SEARCHES = 40


@dataclass(frozen=True)
class Row:
    """One search of one case. ``None`` where that has not been measured."""

    case: str
    budget_mib: int
    method: str
    found: int | None
    true: int | None
    share: float | None
    """Found over true."""
    survives: bool | None
    """Whether the answer lasts for 100 steps, an evaluation among them, in a fresh process and
    within the budget. What a process takes differs from run to run, seen from outside: the
    headroom is there for that."""
    right: bool | None
    leaks: int
    probes: int
    samples: int
    of_floor: float | None
    """Samples over the least that the same evidence needs."""
    device_s: float
    """Seconds in probes."""
    crash: str


def rows(work: WorkFile, cases: Sequence[Case]) -> list[Row]:
    """Our search and that by bisection, where they have been made, case by case."""
    found = []
    for case in cases:
        for method in (OURS, BISECTION):
            if search := work.searches.get((case.identity, method, SETTING)):
                found.append(_row(work, case, search))
    return found


def _row(work: WorkFile, case: Case, search: Search) -> Row:
    true = work.largest_stable(case)
    survival = work.survivals.get((case.identity, search.found or 0))
    lasted = None if survival is None else survival.survived
    share = search.found / true if search.found and true else None
    right = None
    if true is not None and (search.found is None or lasted is not None):
        right = share is not None and share >= CLOSE_ENOUGH and bool(lasted)
    floor = search.details.get("floor_samples")
    return Row(
        case=case.name,
        budget_mib=case.budget_mib,
        method=search.method,
        found=search.found,
        true=true,
        share=None if share is None else round(share, 4),
        survives=lasted,
        right=right,
        leaks=search.details["leaks"],
        probes=search.details["probes"],
        samples=search.samples,
        of_floor=round(search.samples / floor, 2) if floor else None,
        device_s=search.details["device_s"],
        crash=search.crash,
    )


def summary(table: Sequence[Row]) -> dict[str, Any]:
    """Our searches against the goals. A goal whose searches have not all been made is not met."""
    ours = [row for row in table if row.method == OURS]
    judged = [row for row in ours if row.right is not None]
    floors = [row.of_floor for row in ours if row.of_floor is not None]
    figures: dict[str, Any] = {
        "searches": len(ours),
        "right": sum(bool(row.right) for row in judged),
        "judged": len(judged),
        "false_leaks": sum(row.leaks for row in ours),
        "false_safe": sum(row.survives is False for row in ours),
        "without_answer": sum(row.found is None for row in ours),
        "median_probes": median(row.probes for row in ours) if ours else None,
        "median_of_floor": median(floors) if floors else None,
    }
    figures["goals"] = {
        "right": 8 <= len(judged) == figures["right"],
        "no_false_leak": len(ours) >= SEARCHES and not figures["false_leaks"],
        "no_false_safe": len(ours) >= SEARCHES and not figures["false_safe"],
        "probes": bool(ours) and figures["median_probes"] <= MOST_PROBES,
        "of_floor": bool(floors) and figures["median_of_floor"] <= OF_FLOOR,
    }
    return figures


def document(work: WorkFile, cases: Sequence[Case]) -> tuple[dict[str, Any], str]:
    """The result as data and as Markdown."""
    table = rows(work, cases)
    figures = summary(table)
    data = {"summary": figures, "rows": [asdict(row) for row in table]}
    return data, f"{markdown_summary(figures)}\n\n{markdown(table)}\n"


def markdown_summary(figures: dict[str, Any]) -> str:
    met = {name: "met" if is_met else "missed" for name, is_met in figures["goals"].items()}
    return "\n".join(
        [
            "| | measured | goal | |",
            "|---|--:|--:|---|",
            f"| right | {figures['right']} of {figures['judged']} | 8 of 8 | {met['right']} |",
            f"| false leaks | {figures['false_leaks']} in {figures['searches']} searches "
            f"| 0 in {SEARCHES} | {met['no_false_leak']} |",
            f"| false-safe | {figures['false_safe']} | 0 | {met['no_false_safe']} |",
            f"| probes, median | {_text(figures['median_probes'])} | {MOST_PROBES} "
            f"| {met['probes']} |",
            f"| samples, × floor, median | {_text(figures['median_of_floor'])} | {OF_FLOOR} "
            f"| {met['of_floor']} |",
        ]
    )


def markdown(table: Sequence[Row]) -> str:
    lines = [
        "| script | MiB | method | found | true | found/true | survives | leaks | probes "
        "| samples | × floor | device s |",
        "|---|--:|---|--:|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.case} | {r.budget_mib} | {r.method} | {_text(r.found)} | {_text(r.true)} "
        f"| {_text(r.share)} | {_yes(r.survives)} | {r.leaks} | {r.probes} | {r.samples} "
        f"| {_text(r.of_floor)} | {r.device_s:.0f} |"
        for r in table
    ]
    return "\n".join(lines)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _yes(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"
