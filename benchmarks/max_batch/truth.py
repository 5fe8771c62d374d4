"""Ground truth: what is stable under the limit, by trying it, each batch in a fresh process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.max_batch.cases import Case
from benchmarks.max_batch.records import Survival, Truth
from probes.job import (
    BRACKET_PLAN,
    CONFIRM_PLAN,
    WORST_CASE_STEPS,
    ProbeJob,
    StepPlan,
    WorkloadRef,
)
from probes.measurement import Measurement, Verdict
from probes.prober import Prober

STEPS = 100
"""Training steps that a batch must last."""
WORST_CASE_REPLAYS = 2 * WORST_CASE_STEPS
"""Steps that a confirming probe adds after its warm-up and at its end."""

SCAN_PLAN = replace(
    BRACKET_PLAN,
    warmup_steps=2,
    max_warmup_steps=2,
    measure_steps=2,
    max_measure_steps=2,
    phases=False,
)
SURVIVAL_PLAN = replace(
    CONFIRM_PLAN,
    warmup_steps=4,
    max_warmup_steps=4,
    measure_steps=STEPS - 4 - WORST_CASE_REPLAYS,
    max_measure_steps=STEPS - 4 - WORST_CASE_REPLAYS,
    phases=False,
)

COARSE_RATIO = 1.15
REACH = 2.0
"""The coarse scan goes on to this factor above the highest passing batch."""
WINDOW = 0.02
"""The edge is bracketed this closely, relative, before the window is scanned …"""
WINDOW_PROBES = 10
"""… in at most so many strides, and the last stride batch by batch."""

Try = Callable[[int], str]
"""Batch size to verdict."""


@dataclass(frozen=True)
class Trials:
    """Probes of one case under its cap; headroom is zero, because it is off the cap already."""

    prober: Prober
    case: Case

    def scan(self, batch_size: int) -> str:
        return str(self._probe(batch_size, SCAN_PLAN).verdict)

    def survival(self, batch_size: int) -> Survival:
        measurement = self._probe(batch_size, SURVIVAL_PLAN)
        lasted = measurement.passed and measurement.steps >= STEPS
        reason = measurement.reason.partition("\n")[0][:300]
        return Survival(self.case.identity, batch_size, lasted, reason)

    def _probe(self, batch_size: int, plan: StepPlan) -> Measurement:
        job = ProbeJob(
            workload=WorkloadRef(self.case.spec),
            config=dict(self.case.config),
            batch_size=batch_size,
            device="cpu",
            plan=plan,
            limit_bytes=self.case.cap_bytes,
            headroom=0.0,
        )
        return self.prober.probe(job)


def find_truth(trials: Trials) -> tuple[Truth, Survival]:
    """Scan, then let the highest passing batch last; while it does not, the next one below."""
    began_s = time.monotonic()
    scanned = scan_edge(trials.scan, trials.case.near)
    candidates = sorted((b for b, v in scanned.items() if v == Verdict.STABLE.value), reverse=True)
    for batch_size in candidates:
        lasting = trials.survival(batch_size)
        if lasting.survived:
            wall_s = time.monotonic() - began_s
            verdicts = {str(b): v for b, v in sorted(scanned.items())}
            return Truth(trials.case.identity, batch_size, verdicts, round(wall_s, 1)), lasting
    raise RuntimeError(f"{trials.case.name}: no scanned batch lasts {STEPS} steps")


def scan_edge(verdict_of: Try, near: int) -> dict[int, str]:
    """Coarsely up to far beyond the edge, closely around it, then every batch of the last stride.

    Pass and fail need not be monotone: each level looks beyond the first failure it meets.
    ``near`` is where to begin; it may be wrong. Returns the verdict of every batch tried.
    """
    seen: dict[int, str] = {}

    def passes(batch_size: int) -> bool:
        if batch_size not in seen:
            seen[batch_size] = verdict_of(batch_size)
        return seen[batch_size] == Verdict.STABLE.value

    def edge() -> tuple[int, int]:
        """The highest passing batch, and the lowest failing one above it."""
        low = max((b for b, v in seen.items() if v == Verdict.STABLE.value), default=0)
        return low, min((b for b in seen if b > low), default=2 * max(low, 1))

    start = near
    while not passes(start) and start > 1:
        start = max(1, int(start / REACH))
    batch_size = start
    while batch_size <= REACH * max(edge()[0], 1):
        passes(batch_size)
        batch_size = max(batch_size + 1, int(batch_size * COARSE_RATIO))
    low, high = edge()
    while high - low > max(1, WINDOW * high):
        passes((low + high) // 2)
        low, high = edge()
    bottom, top = int(low * (1 - WINDOW)), high + max(1, int(WINDOW * high))
    stride = max(1, (top - bottom) // WINDOW_PROBES)
    for batch_size in range(bottom, top + 1, stride):
        passes(max(1, batch_size))
    low, high = edge()
    for batch_size in range(low + 1, high):
        passes(batch_size)
    return seen
