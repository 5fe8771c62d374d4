"""Is a confirmation right about leaks? What is none must not be called one, and no leak may pass
without a word.

Single confirmations at the edge, with the very same rules as a search. What is held between the
steps varies for reasons of its own; the leaks are given by the step at which they fill the memory.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.false_safe.families import HEADROOM, LIMIT_BYTES
from benchmarks.false_safe.rates import upper_bound
from benchmarks.false_safe.replay import Replay
from benchmarks.false_safe.simulation import Cycle, Leak, Training
from probes.job import CONFIRM_PLAN
from probes.measurement import Measurement, Verdict
from probes.stability import LOOKAHEAD

EDGE = 100
WITHOUT_LEAK = EDGE - 1
"""At the edge the headroom is all that is left, so that the least growth matters."""
WITH_LEAK = 80
STATIC = 0.3
PLAIN = Training(
    LIMIT_BYTES,
    STATIC * LIMIT_BYTES,
    lambda batch_size: (1 - HEADROOM - STATIC) * LIMIT_BYTES * batch_size / EDGE,
    ordinary=0.8,
)
NOISES: dict[str, Training] = {
    "none": PLAIN,
    "0.1 %": replace(PLAIN, held_noise=0.001),
    "0.5 %": replace(PLAIN, held_noise=0.005),
    "1 %": replace(PLAIN, held_noise=0.01),
    "0.3 %, wandering (0.5)": replace(PLAIN, held_noise=0.003, held_serial=0.5),
    "0.3 %, wandering (0.9)": replace(PLAIN, held_noise=0.003, held_serial=0.9),
}
"""Standard deviation of what is held, relative to the limit; in brackets its correlation from one
step to the next."""
OTHERS: dict[str, Training] = {
    "garbage, collected every 10 steps": replace(
        PLAIN, held_noise=0.0005, held_cycle=Cycle(0.01, 10)
    ),
    "garbage, collected every 60 steps": replace(
        PLAIN, held_noise=0.0005, held_cycle=Cycle(0.01, 60)
    ),
}
FILLS_AT = (100, 300, 500, 1000, 2000)
"""Step at which a leak has filled the memory."""
LUMPS = (1, 8)
"""Steps between two lumps of a leak."""
SAID = ("leak", "oom", "told", "outlasts", "silent")


@dataclass(frozen=True)
class Case:
    """A training, the batch to confirm, and the step at which a leak has filled the memory."""

    training: Training
    batch_size: int = WITHOUT_LEAK
    fills_at: int | None = None


def leaking(training: Training, fills_at: int, lump: int) -> Case:
    """The same with a leak, and room for it."""
    peak = training.static_bytes + training.activations(WITH_LEAK)
    leak = Leak((training.limit_bytes - peak) / fills_at, lump)
    return Case(replace(training, leak=leak), WITH_LEAK, fills_at)


def confirm(case: Case, seed: str) -> Measurement:
    """One confirmation."""
    return Replay(case.training, case.batch_size, CONFIRM_PLAN, headroom=HEADROOM, seed=seed).run()


def meaning(case: Case, measurement: Measurement) -> str:
    """One of ``SAID``: ``leak``; ``oom`` where the memory ran out before; ``told`` (stable, with a
    note); ``outlasts`` (stable, and the leak lasts for more than the steps that such a run speaks
    for: ``LOOKAHEAD`` times its own); or ``silent``."""
    if measurement.verdict is not Verdict.STABLE:
        return str(measurement.verdict)
    if measurement.notes:
        return "told"
    if case.fills_at is not None and case.fills_at > LOOKAHEAD * measurement.steps:
        return "outlasts"
    return "silent"


def run(runs: int) -> dict[str, Any]:
    """A row for each way in which memory varies, without a leak and with leaks of all sizes: how
    often what was said. ``runs`` confirmations without a leak each, and about half as many with."""
    without = {
        name: _row(name, [Case(training)] * runs) for name, training in (NOISES | OTHERS).items()
    }
    sizes = list(itertools.product(FILLS_AT, LUMPS))
    each = max(1, runs // (2 * len(sizes)))
    leaks = {
        name: _row(name, [leaking(training, *size) for size in sizes for _ in range(each)])
        for name, training in NOISES.items()
    }
    false_leaks, probes = (sum(row[key] for row in without.values()) for key in ("leak", "runs"))
    return {
        "without": without,
        "with": leaks,
        "total": {
            "probes": probes,
            "false_leaks": false_leaks,
            "upper_bound_95": round(upper_bound(false_leaks, probes), 6),
            "leaking": sum(row["runs"] for row in leaks.values()),
            "silent": sum(row["silent"] for row in leaks.values()),
        },
    }


def _row(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    made = [confirm(case, f"{name} {i}") for i, case in enumerate(cases)]
    said = Counter(meaning(case, m) for case, m in zip(cases, made, strict=True))
    steps = [m.steps for m in made]
    return {
        "runs": len(made),
        **{what: said[what] for what in SAID},
        "steps": statistics.median(steps),
        "most_steps": max(steps),
    }
