"""The table that nobody has: claimed against measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.claims.cases import Case
from benchmarks.claims.records import WorkFile
from optimizer.ablation import Evidence
from optimizer.ablation.judge import Change, change_text, claim_text

HEADER = "| page | claim | workload | claimed | measured here | verdict | pairs | s |"
RULE = "|---|---|---|---|---|---|---|---|"


def document(cases: Sequence[Case], work: WorkFile) -> tuple[dict[str, Any], str]:
    """Everything that was measured, as plain data and as a page."""
    found = [(case, e) for case in cases if (e := work.of(case.identity, 1)) is not None]
    overlaps = [
        overlap(first, second)
        for case, first in found
        if (second := work.of(case.identity, 2)) is not None
        and first.change is not None
        and second.change is not None
    ]
    measured = [(case, e) for case, e in found if e.ending.is_measured and e.low is not None]
    claims = Counter(case.question.claim for case, _ in measured)
    plain = {
        "cases": len(cases),
        "answered": len(found),
        "measured": len(measured),
        "claims_measured": len(claims),
        "claims_on_two_workloads": sum(count > 1 for count in claims.values()),
        "verdicts": dict(Counter(str(e.verdict) for _, e in found)),
        "repeated": len(overlaps),
        "overlapping": sum(overlaps),
        "evidence": [{"case": case.identity, **e.to_dict()} for case, e in found],
        "again": [
            {"case": case.identity, **second.to_dict()}
            for case, _ in found
            if (second := work.of(case.identity, 2)) is not None
        ],
    }
    return plain, _markdown(plain, found)


def overlap(first: Evidence, second: Evidence) -> bool:
    """Whether two intervals share a value."""
    one, other = interval(first), interval(second)
    return one[0] <= other[1] and other[0] <= one[1]


def interval(evidence: Evidence) -> tuple[float, float]:
    low = -math.inf if evidence.low is None else evidence.low
    return low, math.inf if evidence.high is None else evidence.high


def measured_text(evidence: Evidence) -> str:
    """The measured change, or why there is none."""
    if evidence.change is None or evidence.low is None:
        return f"{evidence.ending}: {evidence.reason}"
    change = Change(evidence.change, *interval(evidence))
    return change_text(evidence.quantity, change)


def _markdown(plain: dict[str, Any], found: Sequence[tuple[Case, Evidence]]) -> str:
    lines = [
        "# Claims of the knowledge pages, measured",
        "",
        f"{plain['answered']} of {plain['cases']} cases were tried: "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(plain["verdicts"].items()))
        + f". {plain['measured']} of them gave a measurement, of {plain['claims_measured']} "
        f"claims, {plain['claims_on_two_workloads']} of them on two workloads.",
    ]
    if plain["repeated"]:
        share = plain["overlapping"] / plain["repeated"]
        lines.append(
            f"Measured again: {plain['overlapping']} of {plain['repeated']} intervals overlap "
            f"({share:.0%})."
        )
    lines += ["", HEADER, RULE]
    for case, evidence in found:
        question = case.question
        page = question.page.partition(":")[2].replace("_", " ")
        cells = [
            page,
            question.text,
            case.on.name,
            claim_text(question),
            measured_text(evidence),
            str(evidence.verdict),
            str(evidence.pairs),
            f"{evidence.wall_s:.0f}",
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
