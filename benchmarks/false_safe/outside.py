"""A probe of a command, on a simulated process that is seen from outside: with
the very same watch and evidence (``probes.black_box``); only the command is made up.
"""

from __future__ import annotations

from benchmarks.false_safe.replay import Replay
from benchmarks.false_safe.simulation import Outside, Training
from probes.black_box.steps import Passed
from probes.black_box.watch import StepWatch
from probes.black_box.windows import Look
from probes.job import StepPlan
from probes.worker.evidence import Judgement


class OutsideReplay(Replay):
    """One probe of a command. Use ``run`` once."""

    def __init__(
        self, training: Training, batch_size: int, plan: StepPlan, *, headroom: float, seed: str
    ) -> None:
        super().__init__(training, batch_size, plan, headroom=headroom, seed=seed)
        assert training.outside is not None
        self.view: Outside = training.outside
        self.watch = StepWatch(plan, self.cap)
        self.evidence = self.watch.evidence
        self.is_done = False
        self._now_s = self._next_look_s = self._last_line_s = 0.0
        self._high_bytes = 0
        self._mark_bytes = 0
        """The high-water mark since the start, as of now."""
        self._lines: list[tuple[float, int]] = []

    def _until_verdict(self) -> Judgement:
        process, view, step = self.process, self.view, 0
        process.build()
        self.phase = "train"
        while not self.is_done:
            if view.evaluates_every and step % view.evaluates_every == 0:
                process.evaluate()
                self._spend(view.evaluation_steps * self.training.step_s(self.batch_size))
                process.checkpoint()
            step += 1
            self._spend(process.step(worst_case=False))
            if step == view.line_steps:
                self.watch.begin(step)
                self._last_line_s = self._now_s
            elif step % view.line_steps == 0:
                self._lines.append((self._now_s, view.line_steps))
        return self.evidence.judge(
            self.plan.purpose, self.cap, process.peak_bytes, spilled_bytes=0, allocator_retries=0
        )

    def _spend(self, seconds: float) -> None:
        """Memory goes from what is held to the top and back meanwhile, and is looked at."""
        held, top = self.process.held_bytes, self.process.top_bytes
        began_s, ends_s = self._now_s, self._now_s + seconds
        while self._next_look_s < ends_s:
            self._now_s = max(self._now_s, self._next_look_s)
            share = (self._now_s - began_s) / seconds
            here = int(held + (top - held) * (1 - abs(2 * share - 1)))
            self._reach(top if share > 0.5 else here)
            self._look(here)
        self._reach(top)
        self._now_s = ends_s

    def _reach(self, used_bytes: int) -> None:
        self._high_bytes = max(self._high_bytes, used_bytes)
        self._mark_bytes = max(self._mark_bytes, used_bytes)

    def _look(self, held_bytes: int) -> None:
        """The prober's turn: memory as it is now, and the lines that have come since."""
        high = self._high_bytes if self.view.exact else None
        self.watch.see(Look(self._now_s, held_bytes, self._mark_bytes, high))
        self._high_bytes = held_bytes
        for at_s, steps in self._lines:
            passed = Passed(steps, (at_s - self._last_line_s) / steps, at_s)
            self._last_line_s = at_s
            if self.watch.add(passed, held_bytes, self._mark_bytes):
                self.is_done = True
                break
        self._lines = []
        self._next_look_s = self._now_s + self.view.look_s * self.process.random.uniform(1, 2)
