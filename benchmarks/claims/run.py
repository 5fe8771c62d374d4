"""Measure what has not been measured yet, one line of the work file each; then summarise.

Every claim of the built-in pages that is made of this kind of device, on two workloads.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.claims.bench import Here, ProberBench
from benchmarks.claims.cases import PAGES, Case, built_in_claims, cases
from benchmarks.claims.records import Record, WorkFile
from benchmarks.claims.report import document
from benchmarks.record import RESULTS, write
from optimizer.ablation import AblationEvent, AblationLimits, Evidence
from optimizer.ablation import run as run_ablation
from optimizer.ablation.defaults import default_budget_bytes
from probes.devices.base import DeviceFacts
from probes.errors import TonnageError
from probes.prober import Prober

WORK = RESULTS.parent / ".work" / "claims"
PACKAGES = ("transformers", "trl", "peft", "bitsandbytes")


def run(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks claims", description=__doc__)
    parser.add_argument("--pages", type=Path, default=PAGES, help="folder of pages")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--most", type=int, help="at most this many cases")
    parser.add_argument("--device", default="cpu", help="like cuda:0")
    parser.add_argument(
        "--again", action="store_true", help="measure a second time what has been measured once"
    )
    parser.add_argument("--budget", type=float, default=240.0, help="seconds per experiment")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the records")
    parser.add_argument("--report-only", action="store_true", help="summarise what is known")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended too
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    kind = asked.device.partition(":")[0]
    known = cases(built_in_claims(asked.pages), kind)
    chosen = [case for case in known if asked.only in case.identity][: asked.most]
    if asked.list:
        print("\n".join(case.identity for case in chosen))
        return
    work = WorkFile(asked.work / f"{kind}.jsonl")
    if not asked.report_only:
        limits = AblationLimits(budget_s=asked.budget)
        measure(work, chosen, asked.device, limits, 2 if asked.again else 1)
    plain, markdown = document(chosen, work)
    result = write("claims", plain, PACKAGES)
    result.with_suffix(".md").write_text(markdown)
    print(f"\n{markdown}\nwritten to {result} and {result.with_suffix('.md').name}")


def measure(
    work: WorkFile, chosen: Sequence[Case], device: str, limits: AblationLimits, number: int
) -> None:
    """Every case without a record of this round but with one of the round before; those that share
    probes together."""
    left = [
        case
        for case in chosen
        if work.of(case.identity, number) is None
        and (number == 1 or work.of(case.identity, number - 1) is not None)
    ]
    if not left:
        return
    with Prober(sys.executable) as prober:
        found = next(f for f in prober.devices()["devices"] if f["device"] == device)
        facts = DeviceFacts(**found)
        here = Here.of(prober, facts, default_budget_bytes(facts.kind, facts.total_bytes))
        for case, evidence in answers(here, left, limits, seed=number):
            work.add(Record(case.identity, number, evidence))


def answers(
    here: Here, left: Sequence[Case], limits: AblationLimits, seed: int
) -> Iterator[tuple[Case, Evidence]]:
    """Evidence for each case, experiment by experiment."""
    ordered = sorted(left, key=lambda case: case.question.experiment)
    for _, members in groupby(ordered, key=lambda case: case.question.experiment):
        together = list(members)
        bench = ProberBench(here, together[0].on.workload)
        questions = [case.question for case in together]
        print(f"-- {together[0].identity}", flush=True)
        try:
            found = run_ablation(questions, bench, limits=limits, seed=seed, report=say)
        except TonnageError as error:  # the workload itself cannot be loaded here
            print(f"   {error}", flush=True)
            continue
        yield from zip(together, found)


def say(event: AblationEvent) -> None:
    count = f" {event.done}/{event.of}" if event.of else ""
    print(f"   {event.kind}{count}: {event.text}", flush=True)
