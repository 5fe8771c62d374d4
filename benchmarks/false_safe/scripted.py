"""Searches on simulated devices, each answer then trained with for ten times as long."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.false_safe.families import GOAL, HEADROOM, LIMITS, Family
from benchmarks.false_safe.outside import OutsideReplay
from benchmarks.false_safe.rates import upper_bound
from benchmarks.false_safe.replay import Replay, train
from benchmarks.false_safe.simulation import Training
from probes.job import BRACKET_PLAN, CONFIRM_PLAN
from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
from probes.measurement import Measurement, Purpose, Verdict

START = 8
LONGER = 10
"""The answer is run for so many times the steps of its confirmation."""
EXAMPLES = 5
"""Failed searches that are kept per family, to look at."""


@dataclass(frozen=True)
class Outcome:
    """One search and what became of its answer."""

    seed: str
    max_batch: int | None
    true_edge: int | None
    """``None`` where no batch is stable for ever (a leak)."""
    probes: int
    samples: int
    floor_samples: int
    """What the answer itself takes: its confirmation, and one step that fails above it."""
    failure: str
    """Why the longer run failed; empty if it did not, or if nothing was recommended."""
    false_leaks: int = 0
    """Probes that were called a leak although nothing leaks."""

    @property
    def found(self) -> float | None:
        return self.max_batch / self.true_edge if self.max_batch and self.true_edge else None


def search_once(family: Family, seed: str) -> Outcome:
    """Draw a device, search on it, and train with the answer in a fresh process."""
    training = family(random.Random(seed))
    replay = Replay if training.outside is None else OutsideReplay
    asked, false_leaks = 0, 0

    def probe(ask: Ask) -> Measurement:
        nonlocal asked, false_leaks
        asked += 1
        plan = CONFIRM_PLAN if ask.purpose is Purpose.CONFIRM else BRACKET_PLAN
        measurement = replay(
            training, ask.batch_size, plan, headroom=HEADROOM, seed=f"{seed} probe {asked}"
        ).run()
        false_leaks += measurement.verdict is Verdict.LEAK and training.leak is None
        return measurement

    answer = run_search(MaxBatchSearch(Bounds(), START), probe)
    passing = answer.highest_passing
    failure = ""
    if answer.max_batch is not None and passing is not None:
        steps = LONGER * passing.steps
        failure = train(training, answer.max_batch, steps, seed=f"{seed} training")
    return Outcome(
        seed,
        answer.max_batch,
        None if training.leak else true_edge(training),
        answer.probes,
        answer.samples,
        passing.samples + passing.batch_size if passing else 0,
        failure,
        false_leaks,
    )


def true_edge(training: Training) -> int:
    """Largest batch whose settled run fits under the cap; 0 when none does."""
    cap = training.limit_bytes * (1 - HEADROOM)
    low, high = 0, Bounds().cap
    while low < high:
        middle = (low + high + 1) // 2
        fits = training.static_bytes + training.activations(middle) <= cap
        low, high = (middle, high) if fits else (low, middle - 1)
    # Bursts, fragmentation and quirks only ever lower it.
    while low and training.needed_bytes(low) > cap:
        low -= 1
    return low


def run(families: dict[str, Family], searches: int) -> dict[str, dict[str, Any]]:
    """A summary per family."""
    return {
        name: summary([search_once(family, f"{name} {i}") for i in range(searches)])
        for name, family in families.items()
    }


def run_all(per_family: int) -> dict[str, Any]:
    """``goal`` and ``limits`` by family, and the sums of the goal's families."""
    goal, limits = run(GOAL, per_family), run(LIMITS, max(1, per_family // 2))
    total = {key: sum(row[key] for row in goal.values()) for key in COUNTS}
    total["upper_bound_95"] = round(upper_bound(total["false_safe"], total["recommended"]), 5)
    return {"goal": goal, "limits": limits, "total": total}


COUNTS = ("searches", "recommended", "false_safe", "false_leaks")


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    answered = [o for o in outcomes if o.max_batch is not None]
    failed = [o for o in answered if o.failure]
    return {
        "searches": len(outcomes),
        "recommended": len(answered),
        "false_safe": len(failed),
        "false_leaks": sum(o.false_leaks for o in outcomes),
        "upper_bound_95": round(upper_bound(len(failed), len(answered)), 5),
        "found_over_true": _median(o.found for o in answered),
        "probes": _median(o.probes for o in outcomes),
        "samples_over_floor": _median(o.samples / o.floor_samples for o in answered),
        "examples": [
            {"seed": o.seed, "max_batch": o.max_batch, "failure": o.failure}
            for o in failed[:EXAMPLES]
        ],
    }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None
