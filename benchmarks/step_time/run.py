"""Fresh processes in turns: a long run, a confirmation, torch's timer, a long run, and so on.

A long run's mean is what a cycle costs. The truth that both are graded against is the mean of the
long runs before and after. Where these two differ by more than ``STEADY``, the machine changed in
between (others use it too) and no estimate could be true of both: such rounds are counted and
graded apart, and nothing is left out of ``all``.
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
STEADY = 0.05
"""Two long runs of the same config, one before and one after, differ by no more than this."""
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
    before = probe(prober, case, LONG_PLAN)
    for _ in range(rounds):
        ours = probe(prober, case, CONFIRM_PLAN)
        timer_s = timer_mean_s(case)
        after = probe(prober, case, LONG_PLAN)
        found.append(
            {
                "ours_s": ours.mean_s,
                "low_s": ours.low_s,
                "high_s": ours.high_s,
                "steps": ours.steps,
                "timer_s": timer_s,
                "before_s": before.mean_s,
                "after_s": after.mean_s,
                "true_s": (before.mean_s + after.mean_s) / 2,
            }
        )
        before = after
    return found


def is_steady(one: dict[str, float]) -> bool:
    return abs(one["after_s"] / one["before_s"] - 1) <= STEADY


def summary(rounds: list[dict[str, float]]) -> dict[str, object]:
    """Errors relative to the truth of the round; coverage of it by our interval."""
    steady = [one for one in rounds if is_steady(one)]
    return {"steady": graded(steady) if steady else None, "all": graded(rounds)}


def graded(rounds: list[dict[str, float]]) -> dict[str, float]:
    errors = sorted(abs(r["ours_s"] / r["true_s"] - 1) for r in rounds)
    return {
        "rounds": len(rounds),
        "step_s": round(statistics.median(r["true_s"] for r in rounds), 5),
        "ours_error": round(statistics.median(errors), 4),
        "ours_error_p95": round(errors[max(0, math.ceil(0.95 * len(errors)) - 1)], 4),
        "timer_error": round(
            statistics.median(abs(r["timer_s"] / r["true_s"] - 1) for r in rounds), 4
        ),
        "coverage": round(
            sum(r["low_s"] <= r["true_s"] <= r["high_s"] for r in rounds) / len(rounds), 3
        ),
        "half_width": round(
            statistics.median((r["high_s"] - r["low_s"]) / 2 / r["ours_s"] for r in rounds), 4
        ),
    }


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks step_time", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args(arguments).rounds
    result: dict[str, object] = {}
    everything: list[dict[str, float]] = []
    with Prober() as prober:
        for case in CASES:
            found = rounds_of(case, prober, rounds)
            everything += found
            result[case.name] = {**summary(found), "runs": found}
            _print_rows(case.name, found)
    result["all"] = summary(everything)
    _print_rows("all", everything)
    print(f"written to {write('step_time', result)}")


def _print_rows(name: str, rounds: list[dict[str, float]]) -> None:
    for which, chosen in (("steady", [r for r in rounds if is_steady(r)]), ("all", rounds)):
        if not chosen:
            print(f"{name:16} {which:6} none")
            continue
        row = graded(chosen)
        print(
            f"{name:16} {which:6} {row['rounds']:3} rounds, step {row['step_s'] * 1000:6.1f} ms; "
            f"error against {LONG_STEPS} steps: ours {row['ours_error']:.1%} (95th percentile "
            f"{row['ours_error_p95']:.1%}), torch's timer {row['timer_error']:.1%}; interval "
            f"±{row['half_width']:.1%} holds it {row['coverage']:.0%} of the time",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
