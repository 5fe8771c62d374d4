"""Four fresh processes in turns of a few steps: a whole cycle, the same once more, a confirmation,
and torch's timer.

The cycle is a plain training loop (``cycle.py``), and its time is the truth. As they take turns
(``benchmarks/turns.py``) all of them see the same machine, so what is left between them is the
error of the method, and what is left between the two cycles is what no method could do better:
processes of the same code differ, for example in where their memory happens to lie. ``later``
grades the same estimates against the cycle of the next round, a minute after: that is what a user
meets on a machine that changes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import interleaving
from benchmarks.max_batch.cases import WORKLOADS
from benchmarks.record import write
from probes.devices.environment import worker_environment
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.measurement import StepTime
from probes.prober import Prober

ROOT = Path(__file__).resolve().parents[2]
CYCLE_STEPS = 200
"""As many as a confirmation measures at most."""


@dataclass(frozen=True)
class Case:
    name: str
    workload: str
    config: dict[str, int]
    batch_size: int


CASES = (
    Case("mlp", "ResidualMLP", {"blocks": 24, "width": 128}, 512),
    Case("transformer", "Transformer", {"layers": 2, "width": 64}, 32),
    Case("conv", "ConvNet", {"channels": 16}, 64),
    Case("variable_length", "VariableLength", {"layers": 2, "width": 64}, 32),
    Case("contrastive", "Contrastive", {"width": 512}, 512),
)


@dataclass(frozen=True)
class Round:
    """Mean seconds of a step, by each."""

    cycle_s: float
    again_s: float
    timer_s: float
    ours: StepTime

    def to_dict(self) -> dict[str, float]:
        return {
            "cycle_s": self.cycle_s,
            "again_s": self.again_s,
            "timer_s": self.timer_s,
            "ours_s": self.ours.mean_s,
            "low_s": self.ours.low_s,
            "high_s": self.ours.high_s,
            "steps": self.ours.steps,
        }


def probe(prober: Prober, case: Case) -> StepTime:
    reference = WorkloadRef(f"{WORKLOADS}:{case.workload}")
    m = prober.probe(ProbeJob(reference, case.config, case.batch_size, "cpu", CONFIRM_PLAN))
    if m.step_time is None:
        raise RuntimeError(f"{case.name}: {m.verdict}: {m.reason}")
    return m.step_time


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.step_time.{module}", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **worker_environment("cpu")},
        stdout=subprocess.PIPE,
        text=True,
    )


def mean_s(process: subprocess.Popen[str]) -> float:
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a process of the benchmark ended with status {process.returncode}")
    return float(json.loads(printed.splitlines()[-1])["mean_s"])


def play(case: Case, prober: Prober) -> Round:
    config = json.dumps(case.config)
    with interleaving.Referee(Path(os.environ[interleaving.VARIABLE]), players=4):
        cycle, again = (
            start("cycle", case.workload, config, case.batch_size, CYCLE_STEPS) for _ in range(2)
        )
        timer = start("timer", f"{WORKLOADS}:{case.workload}", config, case.batch_size)
        ours = probe(prober, case)
        return Round(mean_s(cycle), mean_s(again), mean_s(timer), ours)


def summary(rounds: Sequence[Sequence[Round]]) -> dict[str, Any]:
    """Errors relative to the cycle, over the rounds of some cases."""
    later = [pair for of_case in rounds for pair in itertools.pairwise(of_case)]
    return {
        "in turns": graded((one, one.cycle_s) for of_case in rounds for one in of_case),
        "later": graded((one, following.cycle_s) for one, following in later),
        "cycles_apart": round(
            statistics.median(abs(b.cycle_s / a.cycle_s - 1) for a, b in later), 4
        ),
    }


def graded(pairs: Iterable[tuple[Round, float]]) -> dict[str, float]:
    found = list(pairs)
    ours = [abs(one.ours.mean_s / true_s - 1) for one, true_s in found]
    again = [abs(one.again_s / true_s - 1) for one, true_s in found]
    timer = [abs(one.timer_s / true_s - 1) for one, true_s in found]
    held = [one.ours.low_s <= true_s <= one.ours.high_s for one, true_s in found]
    half_widths = [(one.ours.high_s - one.ours.low_s) / 2 / one.ours.mean_s for one, _ in found]
    return {
        "rounds": len(found),
        "step_s": round(statistics.median(true_s for _, true_s in found), 5),
        "ours_error": round(statistics.median(ours), 4),
        "ours_error_p95": round(nearest_rank(ours, 0.95), 4),
        "again_error": round(statistics.median(again), 4),
        "again_error_p95": round(nearest_rank(again, 0.95), 4),
        "timer_error": round(statistics.median(timer), 4),
        "timer_error_p95": round(nearest_rank(timer, 0.95), 4),
        "coverage": round(statistics.fmean(held), 3),
        "half_width": round(statistics.median(half_widths), 4),
    }


def nearest_rank(values: Sequence[float], fraction: float) -> float:
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks step_time", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each of five workloads")
    rounds = parser.parse_args(arguments).rounds
    if rounds < 2:
        parser.error("a round needs a next one: at least --rounds 2")
    result: dict[str, object] = {}
    everything: list[list[Round]] = []
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # only one trains at a time
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ[interleaving.VARIABLE] = str(Path(folder) / "referee")
        with Prober() as prober:
            for case in CASES:
                found = [play(case, prober) for _ in range(rounds)]
                everything.append(found)
                result[case.name] = {**summary([found]), "runs": [one.to_dict() for one in found]}
                print_rows(case.name, summary([found]))
    result["all"] = summary(everything)
    print_rows("all", summary(everything))
    print(f"written to {write('step_time', result)}")


def print_rows(name: str, found: dict[str, Any]) -> None:
    for against in ("in turns", "later"):
        row = found[against]
        print(
            f"{name:16} {against:8} {row['rounds']:3} rounds, step {row['step_s'] * 1000:5.1f} ms; "
            f"error, median and 95th percentile: ours {row['ours_error']:.1%} "
            f"{row['ours_error_p95']:.1%}, the cycle once more {row['again_error']:.1%} "
            f"{row['again_error_p95']:.1%}, torch's timer {row['timer_error']:.1%} "
            f"{row['timer_error_p95']:.1%}; our interval ±{row['half_width']:.1%} holds it "
            f"{row['coverage']:.0%} of the time",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
