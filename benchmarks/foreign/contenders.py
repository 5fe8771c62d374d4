"""One search of a command by one method: what it found and what it spent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.foreign.cases import HEADROOM, Case
from benchmarks.max_batch.records import Search, Survival, Truth
from benchmarks.max_batch.truth import SCAN_PLAN, SURVIVAL_PLAN, scan_edge
from probes.errors import TonnageError
from probes.job import ProbeJob, StepPlan
from probes.measurement import Measurement, Purpose, Verdict
from probes.prober import Prober

OURS = "tonnage"
BISECTION = "bisection"
SETTING = "pinned"
TIMEOUT_S = 3600.0
LARGEST = 65_536


def lasting_plan(steps: int) -> StepPlan:
    """Whether memory lasts for this many steps; no judgement about leaks is asked for."""
    measured = steps - SURVIVAL_PLAN.warmup_steps
    return replace(
        SURVIVAL_PLAN,
        purpose=Purpose.BRACKET,
        measure_steps=measured,
        max_measure_steps=measured,
    )


@dataclass
class Trials:
    """Probes of one case under its cap, in fresh processes, with the steps described by hand."""

    prober: Prober
    case: Case
    measured: list[Measurement] = field(default_factory=list)

    def passes(self, batch_size: int) -> bool:
        return self.scan(batch_size) == Verdict.STABLE.value

    def scan(self, batch_size: int) -> str:
        return str(self._probe(batch_size, SCAN_PLAN).verdict)

    def survival(self, batch_size: int, limit_bytes: int | None = None) -> Survival:
        """Whether a batch lasts within a limit, the budget less the headroom by default."""
        steps = self.case.lasting_steps(batch_size)
        m = self._probe(batch_size, lasting_plan(steps), limit_bytes)
        lasted = m.passed and m.steps >= steps
        return Survival(self.case.identity, batch_size, lasted, m.reason.partition("\n")[0][:300])

    def _probe(
        self, batch_size: int, plan: StepPlan, limit_bytes: int | None = None
    ) -> Measurement:
        case = self.case
        limit = limit_bytes or case.cap_bytes  # the headroom is off it already
        job = ProbeJob(case.workload, {}, batch_size, "cpu", plan, limit, headroom=0.0)
        self.measured.append(self.prober.probe(job))
        return self.measured[-1]


def find_truth(trials: Trials) -> tuple[Truth, Survival]:
    """Scan, then the largest batch that passed and lasts. Where the largest that passes does not
    last because the evaluation needs more, the edge of those that last is bisected."""
    began_s = time.monotonic()
    scanned = scan_edge(trials.scan, trials.case.near)
    passing = sorted((b for b, verdict in scanned.items() if verdict == "stable"), reverse=True)
    best, low, high = None, 0, passing[0] + 1
    for batch_size in passing[:2]:
        lasting = trials.survival(batch_size)
        if lasting.survived:
            best, low = lasting, batch_size
            break
        high = batch_size
    while high - low > 1:
        lasting = trials.survival((low + high) // 2)
        if lasting.survived:
            best, low = lasting, lasting.batch_size
        else:
            high = lasting.batch_size
    if best is None:
        raise RuntimeError(f"{trials.case.name}: no batch lasts")
    verdicts = {str(b): v for b, v in sorted(scanned.items())}
    wall_s = round(time.monotonic() - began_s, 1)
    return Truth(trials.case.identity, best.batch_size, verdicts, wall_s), best


def bisect(passes: Callable[[int], bool], largest: int = LARGEST) -> int:
    """Doubling from 1, then halving the gap until it is closed; 0 where nothing passes."""
    low, high = 0, 1
    while high <= largest and passes(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def search_by_bisection(trials: Trials) -> Search:
    """What people write themselves, with a fresh process for each trial."""
    began_s = time.monotonic()
    largest = trials.case.dataset_size or LARGEST
    found, crash = None, ""
    try:
        found = bisect(trials.passes, largest) or None
    except TonnageError as error:
        crash = str(error)[:300]
    measured = trials.measured
    return Search(
        case=trials.case.identity,
        method=BISECTION,
        setting=SETTING,
        found=found,
        steps=sum(m.steps for m in measured),
        samples=sum(m.samples for m in measured),
        wall_s=round(time.monotonic() - began_s, 1),
        crash=crash,
        details={
            "probes": len(measured),
            "device_s": round(sum(m.wall_s for m in measured), 1),
            "leaks": 0,
        },
    )


def search_by_tonnage(case: Case) -> Search:
    """``tonnage max-batch --command``, as a user calls it, with nothing remembered from before."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "max-batch"]
    command += ["--command", case.command, "--device", "cpu", "--python", sys.executable]
    command += ["--memory-budget", f"{case.budget_mib}MiB", "--headroom", str(HEADROOM), "--json"]
    if case.dataset_size:
        command += ["--option", f"dataset_size={case.dataset_size}"]
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "TONNAGE_DATA_DIR": home, "XDG_CONFIG_HOME": home}
        began_s = time.monotonic()
        ran = subprocess.run(
            command, cwd=home, env=environ, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        wall_s = round(time.monotonic() - began_s, 1)
    answer: dict[str, Any] = json.loads(ran.stdout) if ran.returncode in (0, 1) else {}
    crash = "" if answer else ran.stderr.decode(errors="replace").strip()[-1000:]
    return as_search(case, answer, wall_s, crash)


def as_search(case: Case, answer: dict[str, Any], wall_s: float, crash: str) -> Search:
    """The answer of ``tonnage max-batch --json``. No script leaks, so every leak is a false one."""
    runs = answer.get("runs", [])
    return Search(
        case=case.identity,
        method=OURS,
        setting=SETTING,
        found=answer.get("max_batch"),
        steps=answer.get("steps_run", 0),
        samples=answer.get("samples_processed", 0),
        wall_s=wall_s,
        crash=crash or ("" if answer.get("max_batch") else str(answer.get("reason", ""))[:1000]),
        details={
            "probes": len(runs),
            "device_s": round(sum(run["wall_s"] for run in runs), 1),
            "leaks": sum(run["verdict"] == Verdict.LEAK.value for run in runs),
            "floor_samples": floor_samples(answer),
            "binding": answer.get("binding"),
            "runs": runs,
        },
    )


def floor_samples(answer: dict[str, Any]) -> int:
    """Samples of the confirming run at the answer and of one failing step above it: a search that
    has the same evidence cannot do with fewer."""
    evidence = answer.get("evidence", {})
    passing, failing = evidence.get("highest_passing"), evidence.get("lowest_failing")
    found = 0 if passing is None else int(passing["steps"]) * int(passing["batch_size"])
    if failing is not None:
        found += max(1, int(failing["steps"])) * int(failing["batch_size"])
    return found
