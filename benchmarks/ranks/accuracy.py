"""What a search finds on two ranks, beside an exhaustive scan, and whether it lasts.

Every answer is then trained with for ten times the steps of its confirmation, by another gang, with
the whole budget. What fails there is false safety. Where it has made all of its steps and memory
still rose, so that it would fail later by its own account, it is run again for ten times as many.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from benchmarks.false_safe.rates import upper_bound
from benchmarks.false_safe.real import CONFIRM, HEADROOM, LARGEST, LONGER, START
from benchmarks.max_batch.truth import SCAN_PLAN
from benchmarks.ranks.cases import CASES, Case
from benchmarks.ranks.records import Record, WorkFile
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, StepPlan
from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement, Purpose, Verdict
from probes.prober import Prober

RANKS = 2
BUDGETS = (1.0, 1.25, 1.125, 1.5)
"""Multiples of a case's budget; each with the next one seed."""
CLOSE_ENOUGH = 0.97
NEIGHBOURS = (1, 2, 3, 5)
"""The scan tries so many samples above the edge that bisection found, and these shares of it."""
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
TIMES_AS_LARGE = 1.3
"""Where the scan's bisection begins, relative to what is given as near."""


@dataclass(frozen=True)
class Asked:
    """One search: a case with its own budget and data."""

    case: Case
    way: str
    turn: int

    @property
    def budget_mib(self) -> int:
        return round(self.case.budget_mib * BUDGETS[self.turn % len(BUDGETS)])

    @property
    def identity(self) -> str:
        return f"{self.case.name}, {self.way}, {self.budget_mib} MiB, seed {self.turn}"

    def job(self, batch_size: int, plan: StepPlan, headroom: float = HEADROOM) -> Any:
        return self.case.job(
            batch_size,
            plan,
            budget_mib=self.budget_mib,
            way=self.way,
            ranks=RANKS,
            seed=self.turn,
            headroom=headroom,
        )


def all_asked() -> Iterator[Asked]:
    """Without end: every case and way in turn, each time with another budget and other data."""
    for turn in itertools.count():
        for case in CASES:
            for way in ("ddp", "fsdp"):
                yield Asked(case, way, turn)


def run(work: WorkFile, searches: int, scans: int, until_s: float) -> None:
    """The first ``searches``, and a scan for the first ``scans`` of them, as far as they are not
    known and the time (monotonic) allows."""
    for number, asked in enumerate(itertools.islice(all_asked(), searches)):
        if time.monotonic() > until_s:
            return
        record = work.get("accuracy", asked.identity)
        if record is None:
            record = work.add("accuracy", asked.identity, search_once(asked))
            print(f"{asked.identity}: {line(record)}", flush=True)
        if number < scans and record["max_batch"] and work.get("scan", asked.identity) is None:
            scanned = work.add("scan", asked.identity, scan(asked, record))
            found = f"{record['max_batch']} of {scanned['largest']}"
            print(f"{asked.identity}: {found}, {scanned['wall_s']} s", flush=True)


def search(prober: Prober, job: Callable[[int, StepPlan], Any]) -> MaxBatch:
    """As ``tonnage max-batch`` does it, with the fewest steps that a confirmation may have."""
    prior = prober.estimate(job(1, BRACKET_PLAN), LARGEST)

    def probe(ask: Ask) -> Measurement:
        plan = CONFIRM if ask.purpose is Purpose.CONFIRM else BRACKET_PLAN
        asked = replace(job(ask.batch_size, plan), expected_step=ask.expected_step)
        return prober.probe(asked)

    return run_search(MaxBatchSearch(Bounds(cap=LARGEST), START, prior), probe)


def search_once(asked: Asked) -> Record:
    began_s = time.monotonic()
    with Prober(sys.executable) as prober:
        answer = search(prober, asked.job)
    record: Record = {
        "workload": asked.case.name,
        "way": asked.way,
        "max_batch": answer.max_batch,
        "reason": answer.reason[:300],
        "probes": answer.probes,
        "samples": answer.samples,
        "search_s": round(time.monotonic() - began_s, 1),
    }
    confirmed = answer.highest_passing
    if answer.max_batch is None or confirmed is None:
        return record
    steps = LONGER * confirmed.steps
    longer = last(asked, answer.max_batch, steps)
    if longer.verdict is Verdict.OOM and longer.steps >= steps:  # predicted, and not met
        longer = last(asked, answer.max_batch, LONGER * steps)
    return record | {
        "confirmed_steps": confirmed.steps,
        "longer_steps": longer.steps,
        "longer_verdict": str(longer.verdict),
        "longer_reason": longer.reason.partition("\n")[0][:300],
        "tainted": [*confirmed.tainted, *longer.tainted],
    }


def last(asked: Asked, batch_size: int, steps: int) -> Measurement:
    """A run of so many steps with the whole budget, by a gang of its own."""
    with Prober(sys.executable) as prober:
        return prober.probe(asked.job(batch_size, lasting_plan(steps), headroom=0.0))


def lasting_plan(steps: int) -> StepPlan:
    """Some steps beside these, which a probe repeats for the worst case."""
    return replace(
        CONFIRM_PLAN,
        max_warmup_steps=CONFIRM_PLAN.warmup_steps,
        measure_steps=steps,
        max_measure_steps=steps,
        measure_budget_s=0.0,
    )


def scan(asked: Asked, record: Record) -> Record:
    """The largest batch within the budget less the headroom. Bisected with short runs first, then
    looked for above the edge: what passes shortly bounds what lasts. Where the answer is far below
    it, the largest that lasts for ten times the steps of the confirmation is bisected too."""
    began_s = time.monotonic()
    found = record["max_batch"]
    seen: dict[int, bool] = {}
    lasted: dict[int, bool] = {}
    plan = lasting_plan(LONGER * record["confirmed_steps"])
    with Prober(sys.executable) as prober:

        def passes(batch_size: int) -> bool:
            if batch_size not in seen:
                seen[batch_size] = prober.probe(asked.job(batch_size, SCAN_PLAN)).passed
            return seen[batch_size]

        low = high = scan_edge(passes, found)
        if found < CLOSE_ENOUGH * high:
            low = found
            while high - low > max(1, found // 200):  # half a per cent is near enough for a ratio
                middle = (low + high + 1) // 2
                lasted[middle] = prober.probe(asked.job(middle, plan)).passed
                low, high = (middle, high) if lasted[middle] else (low, middle)
    return {
        "largest": low,
        "lasts": bool(lasted),
        "scanned": {str(b): ok for b, ok in sorted(seen.items())},
        "lasted": {str(b): ok for b, ok in sorted(lasted.items())},
        "wall_s": round(time.monotonic() - began_s, 1),
    }


def scan_edge(passes: Callable[[int], bool], near: int) -> int:
    """The largest batch that passes: bisected, then its neighbours above, as pass and fail need not
    be monotone."""
    low, high = 0, max(2, int(near * TIMES_AS_LARGE))
    while passes(high):
        low, high = high, high * 2
    if near > low and passes(near):
        low = near
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    edge = low
    for above in [*NEIGHBOURS, *(int(edge * share) for share in SHARES)]:
        if above and passes(edge + above):
            low = max(low, edge + above)
    return low


def line(record: Record) -> str:
    if record["max_batch"] is None:
        return f"nothing ({record['reason'][:100]})"
    return (
        f"{record['max_batch']} in {record['probes']} probes, {record['search_s']} s; "
        f"{record['longer_steps']} steps: {record['longer_verdict']}"
    )


def summary(work: WorkFile) -> dict[str, Any]:
    """In all, by workload and way, and the searches that are beside a scan."""
    records, scans = work.of("accuracy"), work.of("scan")
    rows = [
        {
            "case": name,
            "found": records[name]["max_batch"],
            "true": scans[name]["largest"],
            "lasts": scans[name]["lasts"],
            "found_over_true": round(records[name]["max_batch"] / scans[name]["largest"], 4),
            "scanned": len(scans[name]["scanned"]) + len(scans[name]["lasted"]),
        }
        for name in scans
        if scans[name]["largest"]
    ]
    kinds = dict.fromkeys((each["workload"], each["way"]) for each in records.values())
    return {
        "total": _counts(list(records.values())),
        "by_case": {
            f"{workload}, {way}": _counts(
                [r for r in records.values() if (r["workload"], r["way"]) == (workload, way)]
            )
            for workload, way in kinds
        },
        "beside_scans": rows,
        "lowest_found_over_true": min((row["found_over_true"] for row in rows), default=None),
        "failed": {
            name: f"{r['longer_verdict']}: {r['longer_reason']}"
            for name, r in records.items()
            if is_false_safe(r)
        },
        "still_rising": {
            name: f"after {r['longer_steps']} steps: {r['longer_reason']}"
            for name, r in records.items()
            if is_still_rising(r)
        },
        "nothing_found": {
            name: r["reason"] for name, r in records.items() if r["max_batch"] is None
        },
    }


def is_false_safe(record: Record) -> bool:
    """Whether the answer failed in ten times the steps of its confirmation."""
    answered = record["max_batch"] is not None
    return answered and record["longer_verdict"] != "stable" and not is_still_rising(record)


def is_still_rising(record: Record) -> bool:
    """Whether the longer run made all of its steps, with memory that rose to its end."""
    if record["max_batch"] is None or record["longer_verdict"] != "oom":
        return False
    return bool(record["longer_steps"] >= LONGER * record["confirmed_steps"])


def _counts(records: list[Record]) -> dict[str, Any]:
    answered = [each for each in records if each["max_batch"] is not None]
    failed = sum(map(is_false_safe, answered))
    return {
        "searches": len(records),
        "recommended": len(answered),
        "false_safe": failed,
        "upper_bound_95": round(upper_bound(failed, len(answered)), 4),
        "longer_steps": sum(each["longer_steps"] for each in answered),
        "probes": round(median(each["probes"] for each in records), 1) if records else None,
        "search_s": round(median(each["search_s"] for each in records), 1) if records else None,
    }
