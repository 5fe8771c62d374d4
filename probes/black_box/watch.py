"""When a command has shown enough: the plan of a probe, step by step as the steps come in. Pure.

The rules are those of a probe of Tonnage's own (``probes.worker.probe``): warm-up until the steps
are steady, then measured steps until the time is precise and nothing about memory is open. A
confirmation then goes on to the first evaluation or end of an epoch, where that is not too far.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

from probes.black_box.evidence import OutsideEvidence
from probes.black_box.steps import Passed
from probes.black_box.windows import Look
from probes.devices.base import MemoryCap
from probes.energy.record import MeasuredWindow
from probes.job import StepPlan
from probes.measurement import Purpose
from probes.stability import is_leak
from probes.timing import is_steady
from probes.worker.lasting import DOUBLINGS

LEAST_CONFIRMATIONS = 3
"""However slow the steps are, a confirmation may go on for an evaluation until it has this multiple
of its least measured steps."""
OVERTIME = 1.5
"""Once it goes on, it gets this multiple of the time that it was expected to keep to."""
SEEN_WITHIN_S = 0.2
"""Memory is seen within this time after a line has arrived."""
LINE_WITHIN_S = 0.05
"""A line arrives within this time after its step has ended."""
MANY_BRACKETS = 3
"""A line that tells of this many times the steps of a bracket is a bracket by itself."""
FEW_STEPS = 3
"""Where fewer steps than this lie between two evaluations or ends of epochs, the last batch of an
epoch, which may be a small one, is too many of them."""
UNKNOWN_STEPS = 100
UNKNOWN_SHARE = 0.25
"""Where nothing tells when an evaluation comes, a confirmation goes on for this many steps, and for
this share of the time that it may wait for one."""


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
        self._plain_s: list[float] = []
        """Durations of steps without an evaluation among them, one for each line."""
        self._plain_steps = 0
        self._interruptions = 0
        """Evaluations, and ends of epochs."""
        self.has_evaluated = False
        """An evaluation or the end of an epoch was seen between two steps."""
        self._may_wait_until_s: float | None = None
        self.window: MeasuredWindow | None = None
        """The measured steps up to the first evaluation among them, as their lines arrived."""
        self._window_is_over = False
        self._marks: list[tuple[float, int]] = []
        """When the high-water mark rose, and to what."""
        self._last_line_s = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether nothing but the first evaluation is open."""
        return self._may_wait_until_s is not None and not self.has_evaluated

    def has_waited_enough(self, now_s: float) -> bool:
        """Whether the evaluation that the run waits for takes too long."""
        return self.is_waiting and now_s > (self._may_wait_until_s or 0.0)

    @property
    def least_steps(self) -> int:
        """Steps that a run has at least, the one before the first sign included."""
        return self.plan.warmup_steps + self.plan.measure_steps

    @property
    def has_enough(self) -> bool:
        """Whether what has been measured is as much as the plan wants at least."""
        return self.is_warm and self.evidence.measured >= self.plan.measure_steps

    def accept_whole_training(self) -> bool:
        """The command trained to its own end. Whether that is enough for a confirmation although it
        had fewer steps than the plan wants: half of the measured ones. No step of that training can
        fail any more."""
        evidence, plan = self.evidence, self.plan
        least = self.least_steps - plan.measure_steps // 2
        if plan.purpose is not Purpose.CONFIRM or evidence.attempted < least:
            return False
        if evidence.measured < plan.measure_steps or not self.is_warm:
            evidence.warmup_steps, self.is_warm = plan.warmup_steps, True
        return True

    def begin(self, first_steps: int = 1) -> None:
        """The first sign: ``first_steps`` steps have ended, and nobody knows when they began."""
        self.evidence.attempted += first_steps

    def see(self, look: Look) -> None:
        """Memory as it is now, whether or not steps have ended."""
        self.evidence.see(look)

    def add(
        self, passed: Passed, held_bytes: int, peak_bytes: int, steps_ahead: int | None = None
    ) -> bool:
        """Steps have ended. Memory that was not seen since is taken from here. ``steps_ahead``:
        steps until the epoch ends, where that is known."""
        evidence, plan = self.evidence, self.plan
        each_s = self._step_s(passed)
        evidence.attempted += passed.count
        evidence.step_s += [each_s] * passed.count
        evidence.held_bytes += [held_bytes] * passed.count
        evidence.peaks.append((len(evidence.step_s), peak_bytes))
        evidence.looks.stepped(passed.at_s, len(evidence.step_s), each_s)
        if evidence.looks.last_s < passed.at_s:
            self.see(Look(passed.at_s, held_bytes, peak_bytes))
        self._see_phase(passed, peak_bytes)
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
                self.window = MeasuredWindow(passed.at_s, passed.at_s, 0, LINE_WITHIN_S)
            return self._is_whole_bracket(passed)
        self._extend_window(passed)
        if self._may_wait_until_s is not None:
            return self.has_evaluated or not self._waits(passed.at_s, steps_ahead)
        return self._is_done(passed.at_s, peak_bytes) and not (
            self._waits(passed.at_s, steps_ahead) and not self._leaks(peak_bytes)
        )

    def _is_whole_bracket(self, passed: Passed) -> bool:
        """Whether one line told of more steps than a bracket wants, its warm-up included. Nobody
        waits for another such line then: the warm-up is a small part of their mean."""
        plan, evidence = self.plan, self.evidence
        if plan.purpose is not Purpose.BRACKET or not self.is_warm:
            return False
        if passed.count < MANY_BRACKETS * (plan.warmup_steps + plan.max_measure_steps):
            return False
        evidence.warmup_steps, self.window = plan.warmup_steps - 1, None
        return True

    def _extend_window(self, passed: Passed) -> None:
        """An evaluation takes energy that no step took: the window ends before the first one."""
        if passed.evaluated:
            self._window_is_over = True
        if self.window is not None and not self._window_is_over:
            steps = self.window.steps + passed.count
            self.window = replace(self.window, to_s=passed.at_s, steps=steps)

    def _step_s(self, passed: Passed) -> float:
        """The duration of one of these steps, without the evaluation among them; with it where
        there are too few others to tell."""
        if not passed.evaluated:
            self._plain_s.append(passed.each_s)
            self._plain_steps += passed.count
            return passed.each_s
        self._interruptions += 1
        if self._plain_steps < FEW_STEPS * self._interruptions:
            return passed.each_s
        return min(passed.each_s, statistics.median(self._plain_s))

    def _see_phase(self, passed: Passed, peak_bytes: int) -> None:
        """The high-water mark is kept from the start: it belongs to the phase that raised it. With
        the last lines before an evaluation, memory may have been seen when that had begun."""
        evidence = self.evidence
        if passed.evaluated and not self.has_evaluated:
            self.has_evaluated = True
            evidence.evaluated(peak_bytes)
            sure_s = self._last_line_s - SEEN_WITHIN_S
            trained = max((peak for at_s, peak in self._marks if at_s <= sure_s), default=0)
            if 0 < trained < peak_bytes:
                evidence.phase_peaks = {"train": trained, "evaluate": peak_bytes}
        if peak_bytes > max(evidence.phase_peaks.values(), default=0):
            evidence.saw_phase("train", peak_bytes)
        if not self._marks or peak_bytes > self._marks[-1][1]:
            self._marks.append((passed.at_s, peak_bytes))
        self._last_line_s = passed.at_s

    def _leaks(self, peak_bytes: int) -> bool:
        growth = self.evidence.lasting_growth(self.cap.cap_bytes, peak_bytes, is_over=False)
        return growth is not None and is_leak(growth)

    def _waits(self, now_s: float, steps_ahead: int | None) -> bool:
        """Whether to go on for the first evaluation."""
        evidence, plan = self.evidence, self.plan
        if plan.purpose is not Purpose.CONFIRM or not plan.evaluation_s or self.has_evaluated:
            return False
        spent_s = now_s - self._warm_s
        each_s = statistics.median(evidence.measured_s)
        if steps_ahead is None:
            allowed_s, expected_s = UNKNOWN_SHARE * plan.evaluation_s, spent_s
            if evidence.attempted >= UNKNOWN_STEPS:
                return False
        else:
            slowest_s = LEAST_CONFIRMATIONS * plan.measure_steps * each_s
            allowed_s = max(plan.evaluation_s, slowest_s)
            expected_s = spent_s + (steps_ahead + 1) * each_s
        if self._may_wait_until_s is not None and steps_ahead is not None:
            return now_s <= self._may_wait_until_s
        if expected_s > allowed_s:
            return False
        self._may_wait_until_s = self._warm_s + OVERTIME * allowed_s
        return True

    def _is_done(self, now_s: float, peak_bytes: int) -> bool:
        evidence, plan = self.evidence, self.plan
        least = max(plan.measure_steps, plan.leak_steps, self._next_look)
        is_long = evidence.measured >= max(plan.max_measure_steps, plan.leak_steps)
        if not is_long and evidence.measured < least:
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
