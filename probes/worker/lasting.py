"""When a confirmation goes on for longer than others: its peak has risen since the first steps, and
there is next to no room left; or memory seems to grow, and the most steps of the plan do not show
whether it does. Pure; standard library only."""

from __future__ import annotations

from probes.devices.base import MemoryCap
from probes.job import StepPlan
from probes.measurement import Purpose
from probes.stability import TOLERANCE
from probes.worker.evidence import DOUBT_BUDGETS, RunEvidence

LITTLE_ROOM = 0.01
"""Share of the cap."""
LASTING_STEPS = 100
"""Fragmentation by batches that vary was seen to go on for about this many steps (ViSNet)."""

DOUBLINGS = 2
"""A run in doubt is doubled at most this many times. In four times as many steps a leak of 2
standard deviations reaches 8, and chance does not."""


def next_end(plan: StepPlan, measured: int) -> int:
    """The number of measured steps, above ``measured``, at which a run may be over: the most steps
    of the plan, and each doubling of them."""
    end = plan.max_measure_steps
    while end <= measured:
        end *= 2
    return end


def is_over(
    evidence: RunEvidence, plan: StepPlan, cap: MemoryCap, peak_bytes: int, spent_s: float
) -> bool:
    """Whether a run has had the most steps of its plan, so that it ends whatever is open. They are
    doubled for a confirmation in doubt about a leak, if the time allows; ``spent_s`` is what the
    measured steps have taken so far, in seconds."""
    measured = evidence.measured
    if measured < plan.max_measure_steps:
        return False
    if plan.purpose is not Purpose.CONFIRM or measured >= plan.max_measure_steps << DOUBLINGS:
        return True
    if measured < next_end(plan, measured - 1):
        return False
    if 2 * spent_s > DOUBT_BUDGETS * plan.measure_budget_s:
        return True
    return evidence.doubtful_growth(cap.cap_bytes, peak_bytes) is None


def should_last(evidence: RunEvidence, cap: MemoryCap, peak_bytes: int) -> bool:
    """Whether more steps, up to ``LASTING_STEPS``, must show that the peak stays below the cap."""
    if evidence.measured >= LASTING_STEPS or not evidence.peaks:
        return False
    has_risen = peak_bytes - evidence.peaks[0][1] > TOLERANCE * cap.cap_bytes
    return has_risen and cap.cap_bytes - peak_bytes < LITTLE_ROOM * cap.cap_bytes
