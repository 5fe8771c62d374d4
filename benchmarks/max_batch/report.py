"""From records to the claims: who is right, at what cost, and whether our goals are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.max_batch.cases import HEADROOM, Case
from benchmarks.max_batch.contenders import OURS, PEERS, SETTINGS
from benchmarks.max_batch.records import Search, WorkFile
from benchmarks.max_batch.truth import STEPS

CLOSE_ENOUGH = 0.97
"""Found over true from which an answer counts as right."""
OF_CHEAPEST_PEER = 0.5
OF_FLOOR = 2.0


@dataclass(frozen=True)
class Row:
    """One search beside the truth. ``None`` where that has not been measured."""

    workload: str
    method: str
    setting: str
    found: int | None
    true: int
    share: float | None
    """Found over true."""
    survives: bool | None
    right: bool
    steps: int
    samples: int
    wall_s: float
    crash: str


@dataclass(frozen=True)
class Verdict:
    """Our search of one workload against the goals."""

    workload: str
    true: int
    found: int | None
    share: float | None
    survives: bool | None
    samples: int
    confirming_samples: int
    """Of the run that confirmed the answer, which no peer has; part of ``samples``."""
    floor_samples: int
    """That run and one failing probe above it."""
    of_floor: float | None
    cheapest_peer: str
    """The right peer with the fewest samples; empty when none is right."""
    of_cheapest_peer: float | None
    """``samples`` over that peer's."""
    search_of_cheapest_peer: float | None
    """The same without the confirming run: what it cost to find the answer."""
    meets_goals: bool
    """False too where no peer has been measured; with none of them right, the rest decides."""


def rows(work: WorkFile, cases: Sequence[Case]) -> list[Row]:
    found = []
    for case in cases:
        true = work.largest_stable(case)
        if true is not None:
            found += [_row(work, case, search, true) for search in _ordered(work.of_case(case))]
    return found


def _row(work: WorkFile, case: Case, search: Search, true: int) -> Row:
    share = None if search.found is None else search.found / true
    lasted = None
    if search.found is not None:
        survival = work.survivals.get((case.identity, search.found))
        lasted = None if survival is None else survival.survived
    right = share is not None and CLOSE_ENOUGH <= share <= 1 and bool(lasted) and not search.crash
    return Row(
        workload=case.name,
        method=search.method,
        setting=search.setting,
        found=search.found,
        true=true,
        share=None if share is None else round(share, 4),
        survives=lasted,
        right=right,
        steps=search.steps,
        samples=search.samples,
        wall_s=search.wall_s,
        crash=search.crash,
    )


def _ordered(searches: Sequence[Search]) -> list[Search]:
    methods, settings = (OURS, *PEERS), ("own", *SETTINGS)
    known = [s for s in searches if s.method in methods and s.setting in settings]
    return sorted(known, key=lambda s: (methods.index(s.method), settings.index(s.setting)))


def verdicts(work: WorkFile, cases: Sequence[Case], table: Sequence[Row]) -> list[Verdict]:
    """Ours per workload. Peers count under either allocator setting: the cheaper one that is
    right is the one to beat."""
    result = []
    for case in cases:
        ours = next((r for r in table if r.workload == case.name and r.method == OURS), None)
        if ours is None:
            continue
        details = work.searches[case.identity, OURS, "own"].details
        confirming = details.get("confirming_samples", 0)
        floor = confirming + details.get("failing_samples", 0)
        peers = [r for r in table if r.workload == case.name and r.method != OURS]
        right = [r for r in peers if r.right]
        peer = min(right, key=lambda r: r.samples, default=None)
        of_floor = round(ours.samples / floor, 2) if floor else None
        of_peer = round(ours.samples / peer.samples, 3) if peer else None
        search_of_peer = round((ours.samples - confirming) / peer.samples, 3) if peer else None
        result.append(
            Verdict(
                workload=case.name,
                true=ours.true,
                found=ours.found,
                share=ours.share,
                survives=ours.survives,
                samples=ours.samples,
                confirming_samples=confirming,
                floor_samples=floor,
                of_floor=of_floor,
                cheapest_peer=f"{peer.method} ({peer.setting}), {peer.samples}" if peer else "",
                of_cheapest_peer=of_peer,
                search_of_cheapest_peer=search_of_peer,
                meets_goals=ours.right
                and bool(peers)
                and of_floor is not None
                and of_floor <= OF_FLOOR
                and (of_peer is None or of_peer <= OF_CHEAPEST_PEER),
            )
        )
    return result


def document(
    work: WorkFile, cases: Sequence[Case], peers: dict[str, str]
) -> tuple[dict[str, Any], str]:
    """Everything as plain data, and as Markdown."""
    table = rows(work, cases)
    ours = verdicts(work, cases, table)
    plain = {
        "headroom": HEADROOM,
        "survival_steps": STEPS,
        "peers": peers,
        "cases": {
            case.name: {
                "config": dict(case.config),
                "budget_mib": case.budget_mib,
                "scanned": work.truths[case.identity].scanned,
                "truth_wall_s": work.truths[case.identity].wall_s,
            }
            for case in cases
            if case.identity in work.truths
        },
        "goals": [asdict(verdict) for verdict in ours],
        "rows": [asdict(row) for row in table],
        "details": {
            f"{case.name}/{s.method}/{s.setting}": s.details
            for case in cases
            for s in _ordered(work.of_case(case))
        },
    }
    return plain, "\n\n".join((_goals(ours), _methods(table), _everything(table))) + "\n"


def _goals(ours: Sequence[Verdict]) -> str:
    lines = [
        "| workload | true | found | found/true | survives | samples | of which confirming "
        "| × floor | cheapest right peer, samples | ours / that | without confirming | goals |",
        "|---|--:|--:|--:|---|--:|--:|--:|---|--:|--:|---|",
    ]
    lines += [
        f"| {v.workload} | {v.true} | {_text(v.found)} | {_text(v.share, '.3f')} "
        f"| {_yes(v.survives)} | {v.samples} | {v.confirming_samples} | {_text(v.of_floor, '.2f')} "
        f"| {v.cheapest_peer or 'none'} | {_text(v.of_cheapest_peer, '.2f')} "
        f"| {_text(v.search_of_cheapest_peer, '.2f')} | {'met' if v.meets_goals else 'missed'} |"
        for v in ours
    ]
    return "\n".join(lines)


def _methods(table: Sequence[Row]) -> str:
    """One line per method and setting, over all workloads."""
    lines = [
        "| method | allocator | right | found/true, worst to best | survives | crashed "
        "| samples, median of ours |",
        "|---|---|---|---|---|--:|--:|",
    ]
    spent = {row.workload: row.samples for row in table if row.method == OURS}
    for method, setting in dict.fromkeys((row.method, row.setting) for row in table):
        own = [row for row in table if (row.method, row.setting) == (method, setting)]
        shares = [row.share for row in own if row.share is not None]
        ratios = sorted(r.samples / spent[r.workload] for r in own if spent.get(r.workload))
        span = f"{min(shares):.2f} to {max(shares):.2f}" if shares else "–"
        answered = [row for row in own if row.found is not None]
        lines.append(
            f"| {method} | {setting} | {sum(r.right for r in own)} of {len(own)} | {span} "
            f"| {sum(bool(r.survives) for r in answered)} of {len(answered)} "
            f"| {sum(bool(r.crash) for r in own)} "
            f"| {f'{ratios[len(ratios) // 2]:.1f} ×' if ratios else '–'} |"
        )
    return "\n".join(lines)


def _everything(table: Sequence[Row]) -> str:
    lines = [
        "| workload | method | allocator | found | true | found/true | survives | steps | samples "
        "| wall time (s) | crashed |",
        "|---|---|---|--:|--:|--:|---|--:|--:|--:|---|",
    ]
    lines += [
        f"| {r.workload} | {r.method} | {r.setting} | {_text(r.found)} | {r.true} "
        f"| {_text(r.share, '.3f')} | {_yes(r.survives)} | {r.steps} | {r.samples} "
        f"| {r.wall_s:.0f} | {r.crash[:80].replace('|', '/')} |"
        for r in table
    ]
    return "\n".join(lines)


def _text(value: float | None, form: str = "") -> str:
    return "–" if value is None else format(value, form)


def _yes(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"
