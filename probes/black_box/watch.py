"""When a command has shown enough: the plan of a probe, step by step as the steps come in. Pure.

The rules are those of a probe of Tonnage's own (``probes.worker.probe``): warm-up until the steps
are steady, then measured steps until the time is precise and nothing about memory is open.
"""

from __future__ import annotations

from probes.black_box.evidence import OutsideEvidence
from probes.black_box.steps import Passed
from probes.black_box.windows import Look
from probes.devices.base import MemoryCap
from probes.job import StepPlan
from probes.measurement import Purpose
from probes.timing import is_steady
from probes.worker.lasting import DOUBLINGS


class StepWatch:
    """Takes steps as they pass; ``add`` returns whether the command may be ended."""

    def __init__(self, plan: StepPlan, cap: MemoryCap) -> None:
        self.plan = plan
        self.cap = cap
        self._window = max(2, plan.measure_steps // 4)
        self.restart()

    def restart(self) -> None:
        """Forget all steps: they were not what they seemed."""
        self.evidence = OutsideEvidence()
        self.is_warm = False
        self._warm_s = 0.0
        self._next_look = self._window

    @property
    def least_steps(self) -> int:
        """Steps that a run has at least, the one before the first sign included."""
        return self.plan.warmup_steps + self.plan.measure_steps

    @property
    def has_enough(self) -> bool:
        """Whether what has been measured is as much as the plan wants at least."""
        return self.is_warm and self.evidence.measured >= self.plan.measure_steps

    def begin(self, first_steps: int = 1) -> None:
        """The first sign: ``first_steps`` steps have ended, and nobody knows when they began."""
        self.evidence.attempted += first_steps

    def see(self, look: Look) -> None:
        """Memory as it is now, whether or not steps have ended."""
        self.evidence.see(look)

    def add(self, passed: Passed, held_bytes: int, peak_bytes: int) -> bool:
        """Steps have ended. Memory that was not seen since is taken from here."""
        evidence, plan = self.evidence, self.plan
        evidence.attempted += passed.count
        evidence.step_s += [passed.each_s] * passed.count
        evidence.held_bytes += [held_bytes] * passed.count
        evidence.peaks.append((len(evidence.step_s), peak_bytes))
        evidence.looks.stepped(passed.at_s, len(evidence.step_s), passed.each_s)
        if evidence.looks.last_s < passed.at_s:
            self.see(Look(passed.at_s, held_bytes, peak_bytes))
        evidence.saw_phase("train", peak_bytes)
        if passed.loss is not None:
            evidence.losses.append(passed.loss)
        if evidence.static_bytes is None:
            evidence.static_bytes = held_bytes
        if evidence.non_finite() is not None:
            return True
        if not self.is_warm:
            steps = len(evidence.step_s) + 1
            if steps < plan.warmup_steps:
                return False
            if steps >= plan.max_warmup_steps or is_steady(evidence.step_s):
                evidence.end_warm_up()
                self.is_warm, self._warm_s = True, passed.at_s
            return False
        return self._is_done(passed.at_s, peak_bytes)

    def _is_done(self, now_s: float, peak_bytes: int) -> bool:
        evidence, plan = self.evidence, self.plan
        is_long = evidence.measured >= plan.max_measure_steps
        if not is_long and evidence.measured < max(plan.measure_steps, self._next_look):
            return False
        self._next_look = evidence.measured + self._window
        if is_long:
            return self._is_over(now_s, peak_bytes)
        return evidence.is_enough(plan, self.cap, peak_bytes, now_s - self._warm_s)

    def _is_over(self, now_s: float, peak_bytes: int) -> bool:
        """Whether the most steps of the plan are enough: many quick steps may have ended between
        a few looks at the memory, and a growth may be in doubt."""
        plan, evidence, spent_s = self.plan, self.evidence, now_s - self._warm_s
        if plan.purpose is not Purpose.CONFIRM:
            return True
        if not evidence.has_windows and spent_s <= plan.measure_budget_s:
            return False
        return (
            evidence.measured >= plan.max_measure_steps << DOUBLINGS
            or spent_s > plan.measure_budget_s
            or not evidence.is_in_doubt(self.cap.cap_bytes, peak_bytes)
        )
