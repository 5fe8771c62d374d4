"""Measure what has not been measured yet, one line of the work file each; then summarise."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.foreign import contenders
from benchmarks.foreign.cases import CASES, ROOT, Case
from benchmarks.foreign.contenders import BISECTION, OURS, SETTING, Trials
from benchmarks.foreign.report import document
from benchmarks.max_batch.records import Search, WorkFile
from benchmarks.record import write
from probes.prober import Prober
from probes.timeouts import Timeouts

WORK_FILE = ROOT / "benchmarks" / ".work" / "foreign.jsonl"
TIMEOUTS = Timeouts(startup_s=300.0, step_s=120.0, probe_s=900.0)


def run(arguments: Sequence[str]) -> None:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="benchmarks foreign", description=__doc__)
    parser.add_argument("--cases", default=",".join(names), help="of " + ", ".join(names))
    parser.add_argument(
        "--searches", type=int, default=40, help="searches in all, with different budgets"
    )
    parser.add_argument("--work", type=Path, default=WORK_FILE, help="the work file")
    parser.add_argument(
        "--without-truth", action="store_true", help="only searches, and whether the answers last"
    )
    parser.add_argument("--report-only", action="store_true", help="summarise what is known")
    asked = parser.parse_args(arguments)
    chosen = asked.cases.split(",")
    if unknown := [name for name in chosen if name not in names]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(names)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended too
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    work = WorkFile(asked.work)
    wanted = planned([case for case in CASES if case.name in chosen], asked.searches)
    for number, case in enumerate([] if asked.report_only else wanted):
        is_first = number < len(chosen)
        measure(case, work, with_truth=is_first and not asked.without_truth)
    plain, markdown = document(work, wanted)
    result = write("foreign", plain)
    result.with_suffix(".md").write_text(markdown)
    print(f"\n{markdown}\nwritten to {result} and {result.with_suffix('.md').name}")


def planned(cases: Sequence[Case], searches: int) -> list[Case]:
    """A case for each search: all with their own budget first, then with others."""
    if not cases:
        return []
    return [cases[n % len(cases)].with_budget(n // len(cases)) for n in range(searches)]


def measure(case: Case, work: WorkFile, *, with_truth: bool) -> None:
    """Our search and whether its answer lasts; with the truth also the scan and bisection."""
    with Prober(sys.executable, TIMEOUTS) as prober:
        if with_truth and case.identity not in work.truths:
            truth, lasting = contenders.find_truth(Trials(prober, case))
            work.add(lasting)
            work.add(truth)
            print(f"{case.identity}: true {truth.largest}, {truth.wall_s:.0f} s", flush=True)
        _search(case, work, OURS, lambda: contenders.search_by_tonnage(case), prober)
        if with_truth:
            _search(
                case,
                work,
                BISECTION,
                lambda: contenders.search_by_bisection(Trials(prober, case)),
                prober,
            )


def _search(
    case: Case, work: WorkFile, method: str, search: Callable[[], Search], prober: Prober
) -> None:
    known = work.searches.get((case.identity, method, SETTING))
    if known is None:
        known = search()
        work.add(known)
        print(f"{case.identity}: {line(known)}", flush=True)
    if known.found and (case.identity, known.found) not in work.survivals:
        survival = Trials(prober, case).survival(known.found, case.budget_bytes)
        work.add(survival)
        if not survival.survived:
            print(f"{case.identity}: {known.found} does not last: {survival.reason}", flush=True)


def line(search: Search) -> str:
    answer = f"no answer ({search.crash})" if search.crash else f"found {search.found}"
    spent = search.details
    return (
        f"{search.method} {answer}; {spent['probes']} probes, {search.samples} samples, "
        f"{spent['device_s']:.0f} s on the device, {spent['leaks']} leaks"
    )
