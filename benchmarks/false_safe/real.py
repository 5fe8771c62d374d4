"""Searches on the real CPU worker, each answer then trained with for ten times as long.

The longer run is a probe as well, in a worker of its own, with the whole budget (no headroom) and
ten times the steps of the confirmation. Whatever it ends in but ``stable`` counts as a failure.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.false_safe.rates import upper_bound
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
from probes.measurement import Measurement, Purpose, Verdict
from probes.prober import Prober

ROOT = Path(__file__).resolve().parents[2]
WORKLOADS = ROOT / "benchmarks" / "small_workloads.py"
WORK_FILE = ROOT / "benchmarks" / ".work" / "false_safe.jsonl"
MIB = 2**20
HEADROOM = 0.05
START = 8
LONGER = 10
LARGEST = 32_768
CONFIRM = replace(CONFIRM_PLAN, half_width=1.0, least_measure_s=0.0)
"""A confirmation goes on until the step time is precise; here every time is precise enough, so
that an answer rests on the fewest steps with which ``tonnage max-batch`` would ever give it."""


@dataclass(frozen=True)
class Case:
    """A workload, a config and a budget."""

    workload: str
    config: dict[str, int]
    budget_mib: int
    repeat: int = 0

    @property
    def identity(self) -> str:
        config = ",".join(f"{key}={value}" for key, value in self.config.items())
        return f"{self.workload}({config})@{self.budget_mib}MiB#{self.repeat}"

    @property
    def limit_bytes(self) -> int:
        return self.budget_mib * MIB


MLP = ({"width": 64, "layers": 2}, {"width": 128, "layers": 4}, {"width": 256, "layers": 3})
ATTENTION = ({"width": 16, "layers": 1}, {"width": 32, "layers": 2}, {"width": 64, "layers": 1})
CONFIGS: dict[str, tuple[dict[str, int], ...]] = {
    "Mlp": MLP,
    "Conv": ({"channels": 8}, {"channels": 16}, {"channels": 24}),
    "Attention": ATTENTION,
    "VariableLength": ATTENTION,
    "Contrastive": MLP,
    "Padded": MLP,
    "HeavyModel": (
        {"width": 64, "layers": 4},
        {"width": 64, "layers": 6},
        {"width": 128, "layers": 2},
    ),
    "HungryEvaluation": MLP,
    "Bursts": MLP,
    "LateBuffer": MLP,
    "ReplayMemory": MLP,
    "Fragments": MLP,
    "Leaks": MLP,
    "LeaksSmallPieces": MLP,
    "LeaksSlowly": MLP,
}
BUDGETS_MIB = (32, 48, 64)


def cases() -> Iterator[Case]:
    """Without end: every workload in turn, each time with another config and budget."""
    for turn in itertools.count():
        for workload, configs in CONFIGS.items():
            config = configs[turn % len(configs)]
            budget = BUDGETS_MIB[(turn + turn // len(configs)) % len(BUDGETS_MIB)]
            yield Case(workload, config, budget, turn // (len(configs) * len(BUDGETS_MIB)))


@dataclass(frozen=True)
class Outcome:
    """One search and what became of its answer: a line of the work file."""

    case: str
    workload: str
    max_batch: int | None
    binding: str | None
    reason: str
    probes: int
    samples: int
    search_s: float
    confirmed_steps: int = 0
    peak_share: float | None = None
    """Of the whole budget, in the confirmation."""
    longer_steps: int = 0
    longer_verdict: str = ""
    """Empty where nothing was recommended."""
    longer_reason: str = ""
    longer_peak_share: float | None = None
    tainted: list[str] = field(default_factory=list)
    leaks: int = 0
    """Probes that were called a leak; false ones unless the workload is named for it."""

    @property
    def failed(self) -> bool:
        return self.longer_verdict not in ("", "stable")


def search_once(case: Case) -> Outcome:
    began_s = time.monotonic()
    with Prober(sys.executable) as prober:
        prior = prober.estimate(_job(case, 1, BRACKET_PLAN), LARGEST)

        def probe(ask: Ask) -> Measurement:
            plan = CONFIRM if ask.purpose is Purpose.CONFIRM else BRACKET_PLAN
            return prober.probe(_job(case, ask.batch_size, plan))

        answer = run_search(MaxBatchSearch(Bounds(cap=LARGEST), START, prior), probe)
    outcome = Outcome(
        case.identity,
        case.workload,
        answer.max_batch,
        answer.binding,
        answer.reason.partition("\n")[0][:300],
        answer.probes,
        answer.samples,
        round(time.monotonic() - began_s, 2),
        leaks=sum(m.verdict is Verdict.LEAK for m in answer.measurements),
    )
    confirmed = answer.highest_passing
    if answer.max_batch is None or confirmed is None:
        return outcome
    longer = train_longer(case, answer.max_batch, LONGER * confirmed.steps)
    return replace(
        outcome,
        confirmed_steps=confirmed.steps,
        peak_share=_share(confirmed, case),
        longer_steps=longer.steps,
        longer_verdict=str(longer.verdict),
        longer_reason=longer.reason.partition("\n")[0][:300],
        longer_peak_share=_share(longer, case),
        tainted=[*confirmed.tainted, *longer.tainted],
    )


def train_longer(case: Case, batch_size: int, steps: int) -> Measurement:
    """So many steps and a few more, with the whole budget, in a worker that ran nothing else."""
    plan = replace(
        CONFIRM_PLAN,
        max_warmup_steps=CONFIRM_PLAN.warmup_steps,
        measure_steps=steps,
        max_measure_steps=steps,
        measure_budget_s=0.0,
    )
    with Prober(sys.executable) as prober:
        return prober.probe(replace(_job(case, batch_size, plan), headroom=0.0))


def run(work_file: Path, searches: int) -> list[Outcome]:
    """The first ``searches`` cases; those in the work file are not run again."""
    known = read(work_file)
    outcomes = []
    for case in itertools.islice(cases(), searches):
        outcome = known.get(case.identity)
        if outcome is None:
            outcome = search_once(case)
            work_file.parent.mkdir(parents=True, exist_ok=True)
            with work_file.open("a") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
            print(_line(outcome), flush=True)
        outcomes.append(outcome)
    return outcomes


def read(work_file: Path) -> dict[str, Outcome]:
    """Outcomes by case; a line that a kill cut short is dropped."""
    outcomes: dict[str, Outcome] = {}
    for line in work_file.read_text().splitlines() if work_file.exists() else ():
        try:
            outcome = Outcome(**json.loads(line))
        except json.JSONDecodeError:
            continue
        outcomes[outcome.case] = outcome
    return outcomes


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """By workload, and in all."""
    by_workload = {
        workload: _counts([o for o in outcomes if o.workload == workload])
        for workload in dict.fromkeys(o.workload for o in outcomes)
    }
    failed = [
        {"case": o.case, "max_batch": o.max_batch, "why": f"{o.longer_verdict}: {o.longer_reason}"}
        for o in outcomes
        if o.failed
    ]
    return {"by_workload": by_workload, "total": _counts(outcomes), "failed": failed}


def _counts(outcomes: list[Outcome]) -> dict[str, Any]:
    answered = [o for o in outcomes if o.max_batch is not None]
    failed = sum(o.failed for o in answered)
    return {
        "searches": len(outcomes),
        "recommended": len(answered),
        "false_safe": failed,
        "leaks": sum(o.leaks for o in outcomes),
        "upper_bound_95": round(upper_bound(failed, len(answered)), 4),
        "longer_steps": sum(o.longer_steps for o in answered),
        "probes": round(sum(o.probes for o in outcomes) / max(1, len(outcomes)), 1),
    }


def _job(case: Case, batch_size: int, plan: StepPlan) -> ProbeJob:
    return ProbeJob(
        workload=WorkloadRef(f"{WORKLOADS}:{case.workload}"),
        config=case.config,
        batch_size=batch_size,
        device="cpu",
        plan=plan,
        limit_bytes=case.limit_bytes,
        headroom=HEADROOM,
    )


def _share(measurement: Measurement, case: Case) -> float | None:
    peak = measurement.peak_bytes
    return None if peak is None else round(peak / case.limit_bytes, 4)


def _line(outcome: Outcome) -> str:
    answer = f"{outcome.max_batch}" if outcome.max_batch else f"none ({outcome.reason[:60]})"
    after = f", {outcome.longer_steps} steps: {outcome.longer_verdict}" if outcome.max_batch else ""
    return f"{outcome.case}: {answer}{after}"
