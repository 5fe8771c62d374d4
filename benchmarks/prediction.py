"""How good is the predicted peak memory near the edge? Per workload, with one to three probes
behind it, with and without the analytic prior.

For each workload and two memory budgets the curve is fitted on short probes at fractions of the
edge, as the search does it, and asked for the peak at batches between 85 and 100 % of the edge,
which are then measured. Published for comparison: 1.6 to 3 % (LLMem, IJCAI 2024, fine-tuning of
language models), 13.7 % (DNNPerf, ICSE-SEIP 2023, training in general).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.max_batch.cases import CASES, HEADROOM, MIB, Case
from benchmarks.record import write
from probes.curve import fit
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement
from probes.prior import Prior
from probes.prober import Prober

CEILING = 65_536
SMALL = 8
TARGETS = (0.85, 0.9, 0.95, 0.98, 1.0)
FRACTIONS = (0.3, 0.6, 0.8)
BUDGETS = (1, 2)
"""Multiples of the case's memory budget."""
METHODS: dict[str, tuple[tuple[float, ...], bool]] = {
    "2 probes": ((0, 0.6), False),
    "3 probes": ((0, 0.3, 0.6), False),
    "prior, 1 probe": ((0.6,), True),
    "prior, 2 probes": ((0.3, 0.6), True),
    "prior, 3 probes": ((0.3, 0.6, 0.8), True),
}
"""Fractions of the edge where the probes are (0 means batch 8), and whether the prior is used."""


class Subject:
    """One workload at one memory budget, measured once per batch."""

    def __init__(self, prober: Prober, case: Case, budget: int) -> None:
        self.prober = prober
        self.job = ProbeJob(
            WorkloadRef(case.spec),
            dict(case.config),
            SMALL,
            "cpu",
            BRACKET_PLAN,
            limit_bytes=case.budget_mib * MIB * budget,
            headroom=HEADROOM,
        )
        self.known: dict[int, Measurement] = {}
        self.prior = prober.estimate(self.job, CEILING)

    def measure(self, batch: int) -> Measurement:
        if batch not in self.known:
            self.known[batch] = self.prober.probe(replace(self.job, batch_size=batch))
        return self.known[batch]

    def edge(self, near: int) -> int:
        """The largest batch whose bracket passes, within 1 %."""
        low, high, batch = 0, 0, near
        while high == 0 or high - low > max(1, low // 100):
            if self.measure(batch).passed:
                low = batch
            else:
                high = batch
            batch = (low + high) // 2 if low and high else batch * 3 // 2 if low else batch // 2
            if batch < 1:
                raise RuntimeError(f"nothing fits: {self.known[1].reason}")
        return low

    def predict(self, batches: list[int], target: int, prior: Prior | None) -> float | None:
        """Predicted peak in bytes; ``None`` if a probe did not pass."""
        runs = [self.measure(batch) for batch in batches]
        if any(run.peak_bytes is None or not run.passed for run in runs):
            return None
        points = {run.batch_size: float(run.peak_bytes or 0) for run in runs}
        static = max(runs, key=lambda run: run.batch_size).static_bytes
        curve = fit(points, float(static or 0), prior)
        return curve.value(target) if curve is not None else None


def errors_of(case: Case, prober: Prober) -> dict[str, list[float]]:
    """Relative errors of each method at every target, predicted minus measured."""
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for budget in BUDGETS:
        subject = Subject(prober, case, budget)
        edge = subject.edge(case.near * budget)
        for name, (fractions, with_prior) in METHODS.items():
            if with_prior and not subject.prior:
                continue
            batches = [max(1, round(f * edge)) if f else min(SMALL, edge) for f in fractions]
            for share in TARGETS:
                measured = subject.measure(max(1, round(share * edge)))
                predicted = subject.predict(
                    batches, measured.batch_size, subject.prior if with_prior else None
                )
                if predicted is not None and measured.passed and measured.peak_bytes:
                    found[name].append(predicted / measured.peak_bytes - 1)
    return found


def summary(errors: list[float]) -> dict[str, float | int]:
    sizes = sorted(abs(e) for e in errors)
    return {
        "median": round(statistics.median(sizes), 5),
        "p95": round(sizes[min(len(sizes) - 1, int(0.95 * len(sizes)))], 5),
        "worst_low": round(min(errors), 5),
        "worst_high": round(max(errors), 5),
        "predictions": len(sizes),
    }


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks prediction", description=__doc__)
    parser.add_argument("--workloads", help="names, separated by commas; all by default")
    wanted = parser.parse_args(arguments).workloads
    names = wanted.split(",") if wanted else [case.name for case in CASES]
    result: dict[str, dict[str, dict[str, float | int]]] = {}
    everything: dict[str, list[float]] = {name: [] for name in METHODS}
    print(f"{'':16}" + "".join(f"{name:>18}" for name in METHODS) + "   (median / p95, %)")
    with Prober() as prober:
        for case in (case for case in CASES if case.name in names):
            errors = errors_of(case, prober)
            result[case.name] = {name: summary(e) for name, e in errors.items() if e}
            for name, found in errors.items():
                everything[name] += found
            _print_row(case.name, result[case.name])
    result["all"] = {name: summary(e) for name, e in everything.items() if e}
    _print_row("all", result["all"])
    print(f"written to {write('prediction', result)}")


def _print_row(name: str, found: dict[str, dict[str, float | int]]) -> None:
    cells = [
        f"{100 * found[m]['median']:.2f} / {100 * found[m]['p95']:.2f}" if m in found else "–"
        for m in METHODS
    ]
    print(f"{name:16}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
