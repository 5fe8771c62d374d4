"""Faults one after the other on two gangs that are kept, as a search keeps them.

After each: is the verdict right, is the rank, has everything gone, and does the same gang train a
healthy workload next?
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ranks.leftovers import Watch, end_marked
from benchmarks.ranks.plan import BY_NAME, Fault, faults, wrong
from benchmarks.ranks.records import Record, WorkFile
from probes.group import Group
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.measurement import Measurement
from probes.prober import Prober
from probes.timeouts import Timeouts

FAULTY = Path(__file__).with_name("faulty.py")
LIMIT_BYTES = 512 * 2**20
BATCH = 8
PLAN = replace(
    CONFIRM_PLAN, measure_steps=6, max_measure_steps=40, max_warmup_steps=6, measure_budget_s=1.0
)
LEAK_PLAN = replace(PLAN, measure_steps=24)
TIMEOUTS = Timeouts(startup_s=120.0, step_s=4.0, probe_s=240.0)
HUNG_S = 300.0
"""No answer after this time is a hang of ours: more than any time-out of the probe."""


class Hung(Exception):
    """A probe never came back."""


def run(work: WorkFile, count: int, seed: int) -> None:
    """The faults that are not in the work file yet."""
    with _own_temporary_folder() as temporary:
        watch = Watch(f"{os.getpid()}-{time.time_ns()}", temporary)
        probers: dict[int, Prober] = {}
        try:
            for fault in faults(count, seed):
                identity = f"seed {seed}, {fault.identity}"
                if work.get("faults", identity) is not None:
                    continue
                record = work.add("faults", identity, one(fault, watch, probers))
                print(line(fault, record), flush=True)
        finally:
            for prober in probers.values():
                prober.close()
        _, left = watch.wait(workers_may_stay=False)
        work.add("faults after all", f"seed {seed}", {"left": left})
        print(f"left in the end: {left or 'nothing'}", flush=True)


def one(fault: Fault, watch: Watch, probers: dict[int, Prober]) -> Record:
    """One fault, by gangs that are there already."""
    if fault.ranks not in probers:
        prober = probers[fault.ranks] = Prober(sys.executable, TIMEOUTS)
        _bounded(lambda: prober.probe(healthy(fault)))
    prober = probers[fault.ranks]
    record: Record = {**asdict(fault), "waits": BY_NAME[fault.kind].waits, "hung": False}
    began_s = time.monotonic()
    try:
        measurement = _bounded(lambda: prober.probe(job(fault)))
    except Hung:
        end_marked(watch.mark)
        del probers[fault.ranks]
        return record | {"hung": True, "wrong": ["no verdict"], "seconds": HUNG_S}
    record |= {
        "seconds": round(time.monotonic() - began_s, 2),
        "verdict": str(measurement.verdict),
        "found_rank": measurement.limiting_rank,
        "reason": measurement.reason[:500],
    }
    gone_s, left = watch.wait(workers_may_stay=True)
    after = _bounded(lambda: prober.probe(healthy(fault)))
    problems = wrong(fault, measurement) + [f"left behind: {each}" for each in left]
    if not after.passed:
        problems.append(f"the next run of the gang: {after.verdict}, {after.reason[:300]}")
    return record | {"gone_s": gone_s, "wrong": problems}


def job(fault: Fault) -> ProbeJob:
    return _job(fault, fault.options, LEAK_PLAN if fault.kind == "leak" else PLAN)


def healthy(fault: Fault) -> ProbeJob:
    """A short run of the same group in which nothing goes wrong."""
    return _job(fault, {}, BRACKET_PLAN)


def _job(fault: Fault, options: dict[str, Any], plan: StepPlan) -> ProbeJob:
    group = Group(("cpu",) * fault.ranks)
    return ProbeJob(
        workload=WorkloadRef(f"{FAULTY}:Faulty", options),
        config={"layers": 2, "parallel": fault.way},
        batch_size=BATCH,
        device=group.label,
        plan=plan,
        limit_bytes=LIMIT_BYTES,
        group=group,
    )


def _bounded(call: Callable[[], Measurement]) -> Measurement:
    """The answer of a call. Raises ``Hung`` where it never comes, and what the call raises."""
    answers: list[Measurement] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(HUNG_S)
    if errors:
        raise errors[0]
    if not answers:
        raise Hung
    return answers[0]


@contextlib.contextmanager
def _own_temporary_folder() -> Iterator[Path]:
    """A temporary folder of our own, so that every file in it is one that a gang has left."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="tonnage-benchmark-") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = None
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before


def line(fault: Fault, record: Record) -> str:
    said = "; ".join(record["wrong"]) or f"{record['verdict']} on rank {record['found_rank']}"
    return f"{fault.identity}: {said}, {record['seconds']} s"


def summary(work: WorkFile) -> dict[str, Any]:
    """In all, and by kind of fault."""
    records = list(work.of("faults").values())
    kinds = [name for name in BY_NAME if any(each["kind"] == name for each in records)]
    return {
        "total": _counts(records),
        "without_time_out": _counts([each for each in records if not each["waits"]]),
        "by_kind": {
            name: _counts([each for each in records if each["kind"] == name]) for name in kinds
        },
        "left_in_the_end": [
            text for each in work.of("faults after all").values() for text in each["left"]
        ],
        "wrong": {name: r["wrong"] for name, r in work.of("faults").items() if r["wrong"]},
    }


def _counts(records: list[Record]) -> dict[str, Any]:
    seconds = [each["seconds"] for each in records]
    return {
        "faults": len(records),
        "hung": sum(each["hung"] for each in records),
        "wrong": sum(bool(each["wrong"]) for each in records),
        "median_s": round(median(seconds), 2) if seconds else None,
        "longest_s": max(seconds, default=None),
        "gone_s": max((each.get("gone_s", 0.0) for each in records), default=None),
    }
