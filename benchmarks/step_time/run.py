"""Rounds of three fresh processes, interleaved: a confirmation, torch's timer, and a long run.

The long run's mean is what a cycle costs, so it is the truth that both are graded against. The
machine may drift between two processes; that is part of what an estimate has to live with, and the
long run is itself repeated, so that its own spread is shown.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.max_batch.cases import WORKLOADS
from benchmarks.record import write
from probes.devices.environment import worker_environment
from probes.job import CONFIRM_PLAN, Plan, ProbeJob, WorkloadRef
from probes.measurement import StepTime
from probes.prober import Prober

ROOT = Path(__file__).resolve().parents[2]
LONG_STEPS = 450
"""A whole cycle."""
LONG_PLAN = replace(
    CONFIRM_PLAN, measure_steps=LONG_STEPS, max_measure_steps=LONG_STEPS, measure_budget_s=0.0
)


@dataclass(frozen=True)
class Case:
    name: str
    workload: str
    config: dict[str, int]
    batch_size: int


CASES = (
    Case("mlp", "ResidualMLP", {"blocks": 24, "width": 128}, 64),
    Case("transformer", "Transformer", {"layers": 2, "width": 64}, 6),
    Case("conv", "ConvNet", {"channels": 16}, 8),
    Case("variable_length", "VariableLength", {"layers": 2, "width": 64}, 6),
    Case("contrastive", "Contrastive", {"width": 512}, 128),
)


def probe(prober: Prober, case: Case, plan: Plan) -> StepTime:
    job = ProbeJob(
        WorkloadRef(f"{WORKLOADS}:{case.workload}"), case.config, case.batch_size, "cpu", plan
    )
    m = prober.probe(job)
    if m.step_time is None:
        raise RuntimeError(f"{case.name}: {m.verdict}: {m.reason}")
    return m.step_time


def timer_mean_s(case: Case) -> float:
    """Mean step time by ``torch.utils.benchmark`` in a fresh process, seconds."""
    command = [sys.executable, "-m", "benchmarks.step_time.timer"]
    command += [f"{WORKLOADS}:{case.workload}", json.dumps(case.config), str(case.batch_size)]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **worker_environment("cpu")},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(ran.stdout.splitlines()[-1])["mean_s"])


def rounds_of(case: Case, prober: Prober, rounds: int) -> list[dict[str, float]]:
    found = []
    for _ in range(rounds):
        ours = probe(prober, case, CONFIRM_PLAN)
        timer_s = timer_mean_s(case)
        long = probe(prober, case, LONG_PLAN)
        found.append(
            {
                "ours_s": ours.mean_s,
                "low_s": ours.low_s,
                "high_s": ours.high_s,
                "steps": ours.steps,
                "timer_s": timer_s,
                "long_s": long.mean_s,
            }
        )
    return found


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Errors relative to the long run of the same round; coverage of its mean by our interval."""
    long = [r["long_s"] for r in rounds]
    return {
        "rounds": len(rounds),
        "step_s": round(statistics.median(long), 5),
        "long_run_spread": round(max(long) / min(long) - 1, 4),
        "ours_error": round(
            statistics.median(abs(r["ours_s"] / r["long_s"] - 1) for r in rounds), 4
        ),
        "ours_error_p95": round(
            sorted(abs(r["ours_s"] / r["long_s"] - 1) for r in rounds)[
                max(0, math.ceil(0.95 * len(rounds)) - 1)
            ],
            4,
        ),
        "timer_error": round(
            statistics.median(abs(r["timer_s"] / r["long_s"] - 1) for r in rounds), 4
        ),
        "coverage": round(
            sum(r["low_s"] <= r["long_s"] <= r["high_s"] for r in rounds) / len(rounds), 3
        ),
        "half_width": round(
            statistics.median((r["high_s"] - r["low_s"]) / 2 / r["ours_s"] for r in rounds), 4
        ),
    }


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks step_time", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    rounds = parser.parse_args(arguments).rounds
    result: dict[str, object] = {}
    everything: list[dict[str, float]] = []
    with Prober() as prober:
        for case in CASES:
            found = rounds_of(case, prober, rounds)
            everything += found
            result[case.name] = {**summary(found), "runs": found}
            _print_row(case.name, summary(found))
    result["all"] = summary(everything)
    _print_row("all", summary(everything))
    print(f"written to {write('step_time', result)}")


def _print_row(name: str, row: dict[str, float]) -> None:
    print(
        f"{name:16} step {row['step_s'] * 1000:7.1f} ms; error against {LONG_STEPS} steps: ours "
        f"{row['ours_error']:.1%} (95th percentile {row['ours_error_p95']:.1%}), torch's timer "
        f"{row['timer_error']:.1%} (long runs differ by {row['long_run_spread']:.1%}); interval "
        f"±{row['half_width']:.1%} holds it {row['coverage']:.0%} of the time",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
