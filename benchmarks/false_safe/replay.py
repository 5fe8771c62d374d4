"""What the real worker does with a probe, on a simulated process: the same order of phases and the
very same evidence and verdicts (``probes.worker.evidence``); only the steps are made up.

``train`` is the other half: the run that a user starts with the recommended batch.
"""

from __future__ import annotations

from benchmarks.false_safe.simulation import OutOfMemoryError, Process, Training
from probes.devices.base import MemoryCap
from probes.job import WORST_CASE_STEPS, StepPlan
from probes.measurement import Measurement, Purpose, Verdict
from probes.timing import is_steady
from probes.worker.evidence import Judgement, RunEvidence
from probes.worker.lasting import is_over, next_end, should_last

MIXED_IN = 0.05
"""Chance of the worst-case batch at each step of the user's run."""
PHASES_PER_RUN = 10
"""How often the user's run evaluates and writes a checkpoint."""


class Replay:
    """One probe, as ``probes.worker.probe`` runs it. Use ``run`` once."""

    def __init__(
        self, training: Training, batch_size: int, plan: StepPlan, *, headroom: float, seed: str
    ) -> None:
        self.training, self.batch_size, self.plan = training, batch_size, plan
        self.headroom = headroom
        self.process = Process(training, batch_size, seed=seed, headroom=headroom, is_search=True)
        self.cap = MemoryCap(
            training.limit_bytes,
            self.process.cap_bytes,
            self.process.foreign_bytes,
            enforced=True,
        )
        self.evidence = RunEvidence()
        self.phase = "build"

    def run(self) -> Measurement:
        try:
            verdict, reason, _ = self._until_verdict()
        except OutOfMemoryError as error:
            return self._measurement(Verdict.OOM, str(error), error.requested_bytes)
        self.phase = "done"
        return self._measurement(verdict, reason, None)

    def _until_verdict(self) -> Judgement:
        process, plan, evidence = self.process, self.plan, self.evidence
        process.build()
        self.phase = "train"
        self._steps(WORST_CASE_STEPS, worst_case=True)
        evidence.static_bytes = process.held_bytes
        self.phase = "evaluate"
        process.evaluate()
        self.phase = "checkpoint"
        process.checkpoint()
        self.phase = "train"
        self._warm_up()
        if plan.purpose is Purpose.CONFIRM:
            self._steps(WORST_CASE_STEPS, worst_case=True, measured=False)
        self._measure()
        self._steps(WORST_CASE_STEPS, worst_case=True, measured=False)
        return evidence.judge(
            plan.purpose, self.cap, process.peak_bytes, spilled_bytes=0, allocator_retries=0
        )

    def _steps(self, count: int, *, worst_case: bool = False, measured: bool = True) -> None:
        process, evidence = self.process, self.evidence
        step_s: list[float] = []
        held_bytes: list[int] = []
        for _ in range(count):
            evidence.attempted += 1
            step_s.append(process.step(worst_case=worst_case))
            held_bytes.append(process.held_bytes)
        evidence.losses.extend([1.0] * count)
        if measured:
            evidence.step_s.extend(step_s)
            evidence.data_s.extend([0.0] * count)
            evidence.held_bytes.extend(held_bytes)
            evidence.peaks.append((len(evidence.step_s), process.peak_bytes))

    def _warm_up(self) -> None:
        plan, step_s = self.plan, self.evidence.step_s
        self._steps(max(0, plan.warmup_steps - len(step_s)))
        while not is_steady(step_s) and len(step_s) < plan.max_warmup_steps:
            self._steps(min(3, plan.max_warmup_steps - len(step_s)))
        self.evidence.end_warm_up()

    def _measure(self) -> None:
        plan, evidence, cap = self.plan, self.evidence, self.cap
        window = max(2, plan.measure_steps // 4)
        while True:
            self._steps(min(window, next_end(plan, evidence.measured) - evidence.measured))
            spent_s = sum(evidence.measured_s)
            peak_bytes = self.process.peak_bytes
            if is_over(evidence, plan, cap, peak_bytes, spent_s):
                return
            if evidence.measured < plan.measure_steps:
                continue
            if not evidence.is_enough(plan, cap, peak_bytes, spent_s):
                continue
            if plan.purpose is not Purpose.CONFIRM or not should_last(evidence, cap, peak_bytes):
                return

    def _measurement(
        self, verdict: Verdict, reason: str, requested_bytes: int | None
    ) -> Measurement:
        process, evidence = self.process, self.evidence
        notes = evidence.remarks(self.cap, process.peak_bytes) if verdict is Verdict.STABLE else []
        return Measurement(
            workload="simulated",
            config={},
            batch_size=self.batch_size,
            device="simulated",
            purpose=self.plan.purpose,
            verdict=verdict,
            reason=reason,
            limit_bytes=self.cap.limit_bytes,
            headroom=self.headroom,
            cap_bytes=self.cap.cap_bytes,
            overhead_bytes=process.foreign_bytes,
            peak_bytes=process.peak_bytes,
            static_bytes=evidence.static_bytes,
            requested_bytes=requested_bytes,
            step_time=evidence.step_time(self.plan.half_width, "cpu"),
            trace=evidence.trace(),
            steps=evidence.attempted,
            samples=evidence.attempted * self.batch_size,
            phase=self.phase,
            notes=notes if self.plan.purpose is Purpose.CONFIRM else [],
        )


def train(training: Training, batch_size: int, steps: int, *, seed: str) -> str:
    """The user's run in a fresh process, with the whole limit. Why it failed; empty if it did not.

    Ordinary batches with the worst case now and then, evaluation and checkpoint ten times.
    """
    process = Process(training, batch_size, seed=seed)
    phase_every = max(1, steps // PHASES_PER_RUN)
    try:
        process.build()
        for step in range(1, steps + 1):
            process.step(worst_case=process.random.random() < MIXED_IN)
            if step % phase_every == 0:
                process.evaluate()
                process.checkpoint()
    except OutOfMemoryError as error:
        return f"step {process.steps} of {steps}: {error}"
    return ""
