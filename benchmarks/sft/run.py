"""Measure what has not been measured yet, one line of the work file each; then summarise."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import RESULTS, write
from benchmarks.sft.cases import PLAIN_BUDGET_MIB, Case, fit_cases, step_cases
from benchmarks.sft.measure import Bench
from benchmarks.sft.records import Training, WorkFile
from benchmarks.sft.report import document
from probes.errors import MeasurementError
from probes.prober import Prober

WORK = RESULTS.parent / ".work" / "sft"
PACKAGES = ("transformers", "trl", "peft", "datasets", "bitsandbytes", "pyarrow")
PARTS = ("step", "equal", "fit", "plain")


def run(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks sft", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    parser.add_argument("--cases", type=int, help="of each part, at most this many")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of models and records")
    parser.add_argument("--report-only", action="store_true", help="summarise what is known")
    asked = parser.parse_args(arguments)
    parts = asked.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended too
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    work = WorkFile(asked.work / "records.jsonl")
    if not asked.report_only:
        measure(work, asked.work, parts, asked.cases)
    plain, markdown = document(work)
    result = write("sft", plain, PACKAGES)
    result.with_suffix(".md").write_text(markdown)
    print(f"\n{markdown}\nwritten to {result} and {result.with_suffix('.md').name}")


def measure(work: WorkFile, folder: Path, parts: Sequence[str], most: int | None = None) -> None:
    """Every case of the parts that has no record yet; one training at a time."""
    with Prober(sys.executable) as prober:
        bench = Bench(folder, prober)
        for part in parts:
            for case in cases_of(part)[:most]:
                if part == "plain":
                    if case.identity not in work.plain:
                        found = bench.plain(case)
                        work.add(found)
                        print(f"{case.identity}: plain loss, {found.found}", flush=True)
                elif case.identity not in work.trainings:
                    trained = _trained(bench, case)
                    work.add(trained)
                    print(line(trained), flush=True)


def cases_of(part: str) -> list[Case]:
    """The cases of a part, in the order in which they are measured."""
    if part == "fit":
        return fit_cases()
    if part == "plain":
        return [case for case in fit_cases() if case.budget_mib == PLAIN_BUDGET_MIB]
    return step_cases("equal" if part == "equal" else "mixed")


def _trained(bench: Bench, case: Case) -> Training:
    try:
        return bench.train(case)
    except MeasurementError as error:  # the process that trains died
        return Training(case.identity, fits=True, reason=str(error), state="died", verdict="crash")


def line(trained: Training) -> str:
    if not trained.fits:
        return f"{trained.case}: does not fit; {trained.wall_s:.0f} s. {trained.reason}"
    return (
        f"{trained.case}: {trained.state} {trained.verdict} {trained.micro_batch} × "
        f"{trained.accumulation}, peak {trained.peak_bytes} of {trained.predicted_peak_bytes}, "
        f"step {trained.step_s} of {trained.predicted_step_s}, {trained.steps} steps, "
        f"{trained.probes} probes, {trained.fit_s:.0f} of {trained.wall_s:.0f} s {trained.reason}"
    )
