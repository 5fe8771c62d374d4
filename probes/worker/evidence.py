"""What a run leaves behind step by step, and the verdict that follows from it.

The rules about memory are in ``probes.stability``; here they meet the numbers of one run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from probes.devices.base import MemoryCap
from probes.formatting import KIB, size_text
from probes.job import StepPlan
from probes.measurement import Growth, Purpose, StepTime, Trace, Verdict
from probes.stability import (
    HORIZON_STEPS,
    OWN_GROWTH_BYTES,
    STEPS_TO_STOP_AT,
    TOLERANCE,
    clear_growth,
    has_settled,
    held_growth,
    held_halves,
    is_leak,
    keeps_pace,
    levels_off,
    may_still_leak,
    peak_ahead,
    still_creeps,
)
from probes.timing import is_precise, is_steady, summarise

SPILL_TOLERANCE_BYTES = 4 * 2**20
SHORTEST_TREND = 3
SHORTEST_LEAK = 24
"""Measured steps from which a growth that ended in an out-of-memory error is called a leak."""
DOUBT_BUDGETS = 10
"""A run that must show whether memory grows may measure for this many times the plan's budget."""
LATEST_STEP = 10_000_000
"""A growth that ends a run after this step only is not worth a remark."""

LEAK_HINT = (
    "Something keeps tensors alive between steps: look for `total_loss += loss` (use loss.item()), "
    "lists of outputs, or caches on the model."
)

Judgement = tuple[Verdict, str, str]
"""Verdict, reason, hint."""


@dataclass
class RunEvidence:
    """Grows while a run goes on, so that whatever was learned survives a failure."""

    attempted: int = 0
    """Optimizer steps begun, the one that failed included."""
    step_s: list[float] = field(default_factory=list)
    data_s: list[float] = field(default_factory=list)
    held_bytes: list[int] = field(default_factory=list)
    peaks: list[tuple[int, int]] = field(default_factory=list)
    """(steps run, high-water mark in bytes), ascending."""
    losses: list[float] = field(default_factory=list)
    phase_peaks: dict[str, int] = field(default_factory=dict)
    static_bytes: int | None = None
    warmup_steps: int = 0
    steady: bool = False

    @property
    def measured(self) -> int:
        return len(self.step_s) - self.warmup_steps

    @property
    def measured_s(self) -> list[float]:
        """Durations of the steps after warm-up; none before warm-up has ended."""
        return self.step_s[self.warmup_steps :] if self.warmup_steps else []

    def saw_phase(self, name: str, peak_bytes: int) -> None:
        self.phase_peaks[name] = max(peak_bytes, self.phase_peaks.get(name, 0))

    def end_warm_up(self) -> None:
        self.steady = is_steady(self.step_s)
        self.warmup_steps = len(self.step_s)

    def is_enough(self, plan: StepPlan, cap: MemoryCap, peak_bytes: int, spent_s: float) -> bool:
        """Whether a run may end that has measured for ``spent_s`` seconds: the mean step is known
        as well as the plan asks, or its time is up, and memory has settled; or it surely leaks,
        and not for the first steps only."""
        timed = spent_s > plan.measure_budget_s or (
            sum(self.measured_s) >= plan.least_measure_s
            and is_precise(self.measured_s, plan.half_width)
        )
        if timed and self.has_settled(cap, peak_bytes):
            return True
        if self.measured < STEPS_TO_STOP_AT and spent_s < DOUBT_BUDGETS * plan.measure_budget_s:
            return False
        growth = self.lasting_growth(cap.cap_bytes, peak_bytes, is_over=False)
        return growth is not None and is_leak(growth)

    def step_time(self, half_width: float, device_kind: str) -> StepTime | None:
        if not self.measured_s:
            return None
        return summarise(
            self.measured_s,
            self.data_s[self.warmup_steps :],
            warmup_steps=self.warmup_steps,
            steady=self.steady,
            half_width=half_width,
            device_kind=device_kind,
        )

    def trace(self) -> Trace:
        return Trace([round(s, 7) for s in self.step_s], self.held_bytes[: len(self.step_s)])

    def growth(self, cap_bytes: int | None, peak_bytes: int) -> Growth:
        """Trend of the memory held after each measured step."""
        return held_growth(self._measured_held, cap_bytes, peak_bytes)

    @property
    def _measured_held(self) -> list[int]:
        return self.held_bytes[self.warmup_steps :]

    def lasting_growth(
        self, cap_bytes: int | None, peak_bytes: int, *, is_over: bool = True
    ) -> Growth | None:
        """The growth of memory, where it is clear and does not level off; else ``None``.

        While a run goes on, one that may still level off is not lasting yet.
        """
        if self.growth(cap_bytes, peak_bytes).low <= OWN_GROWTH_BYTES:
            return None  # for most runs, and quicker to know
        growth = clear_growth(self._measured_held, cap_bytes, peak_bytes)
        if growth.low <= OWN_GROWTH_BYTES:
            return None
        earlier, later = held_halves(self._measured_held)
        if levels_off(earlier, later) or not (is_over or keeps_pace(earlier, later)):
            return None
        return growth

    def doubtful_growth(self, cap_bytes: int | None, peak_bytes: int) -> Growth | None:
        """A growth that would be a leak and does not level off, but that chance explains as well:
        certain by 95 %, and not by as much as a verdict needs, or not for long. ``None`` if there
        is no such doubt."""
        growth = self.growth(cap_bytes, peak_bytes)
        if not is_leak(growth) or levels_off(*held_halves(self._measured_held)):
            return None
        if self.measured < STEPS_TO_STOP_AT:
            return growth
        clear = clear_growth(self._measured_held, cap_bytes, peak_bytes)
        return growth if clear.low <= OWN_GROWTH_BYTES else None

    def slowing_rise(self) -> int:
        """Bytes that memory rose by over the later half of the run, where its growth is certain
        and levels off; else 0."""
        if self.growth(None, 0).low <= OWN_GROWTH_BYTES:
            return 0
        earlier, later = held_halves(self._measured_held)
        if not levels_off(earlier, later):
            return 0
        return int(max(0.0, later.bytes_per_step) * later.steps)

    def remarks(self, cap: MemoryCap, peak_bytes: int) -> list[str]:
        """What there is to say about the memory of a run that passed."""
        growth = self.lasting_growth(cap.cap_bytes, peak_bytes)
        if growth is None:
            return self._open_questions(cap, peak_bytes)
        dies = growth.dies_at_step
        if dies is None or not HORIZON_STEPS <= dies < LATEST_STEP:
            return []
        return [
            f"memory grows {_small_size(growth.bytes_per_step)} per step; "
            f"{float(f'{dies:.1e}'):,.0f} steps until out of memory"
        ]

    def _open_questions(self, cap: MemoryCap, peak_bytes: int) -> list[str]:
        """What this run does not show about the growth of memory."""
        if doubt := self.doubtful_growth(cap.cap_bytes, peak_bytes):
            return [
                f"cannot tell whether memory grows: it seemed to, by "
                f"{_small_size(doubt.bytes_per_step)} per step, which would end a run near step "
                f"{doubt.dies_at_step}, but it varies too much for {self.measured} steps to show it"
            ]
        slowing = self.slowing_rise()
        if slowing > TOLERANCE * cap.cap_bytes:
            return [
                f"memory rose more and more slowly, by {size_text(slowing)} over the last "
                f"{self.measured // 2} steps: that is not a leak"
            ]
        growth, room = self.growth(cap.cap_bytes, peak_bytes), cap.limit_bytes - peak_bytes
        if self.measured < SHORTEST_TREND or not may_still_leak(growth, max(0, room)):
            return []
        return [
            f"cannot tell whether memory grows: it varies so much that {self.measured} steps do "
            f"not rule out a growth of up to {_small_size(growth.high)} per step"
        ]

    def has_trend(self) -> bool:
        return len(self.measured_s) >= SHORTEST_TREND

    def peak_at_half(self) -> int:
        """The high-water mark when half of the measured steps had been run, in bytes."""
        half = self.warmup_steps + self.measured / 2
        return max((peak for step, peak in self.peaks if step <= half), default=0)

    def peak_of_steps(self, peak_bytes: int) -> int:
        """The high-water mark as far as it may have been made by steps; ``peak_bytes`` is that of
        the whole run."""
        return peak_bytes

    def has_settled(self, cap: MemoryCap, peak_bytes: int) -> bool:
        """Whether more steps would tell nothing new about memory."""
        return (
            has_settled(self._measured_held, cap.cap_bytes)
            and not still_creeps(self.peak_at_half(), peak_bytes, cap.cap_bytes)
            and not may_still_leak(
                self.growth(cap.cap_bytes, peak_bytes), max(0, cap.limit_bytes - peak_bytes)
            )
            and self.doubtful_growth(cap.cap_bytes, peak_bytes) is None
        )

    @property
    def first_non_finite(self) -> int | None:
        """The first step, from 1, whose loss is NaN or infinite."""
        steps = (n for n, loss in enumerate(self.losses, start=1) if not math.isfinite(loss))
        return next(steps, None)

    def non_finite(self) -> Judgement | None:
        for step, loss in enumerate(self.losses):
            if not math.isfinite(loss):
                return (
                    Verdict.NON_FINITE,
                    f"The loss was {loss} at step {step + 1} (first loss {self.losses[0]:.4g}).",
                    "Lower the learning rate, clip gradients, or use bf16 or fp32 instead of fp16.",
                )
        return None

    def judge(
        self,
        purpose: Purpose,
        cap: MemoryCap,
        peak_bytes: int,
        *,
        spilled_bytes: int,
        allocator_retries: int,
    ) -> Judgement:
        """The verdict of a run that reached its end."""
        if spilled_bytes > SPILL_TOLERANCE_BYTES:
            return (
                Verdict.SPILL,
                f"{size_text(spilled_bytes)} of this run went to swap while it trained.",
                "Use a smaller batch or memory budget, or free memory on this machine.",
            )
        if peak_bytes > cap.cap_bytes:
            over = size_text(peak_bytes - cap.cap_bytes)
            return Verdict.OOM, f"It used {size_text(peak_bytes)}, {over} more than the cap.", ""
        if allocator_retries:
            return (
                Verdict.OOM,
                f"The allocator had to flush its cache {allocator_retries} times to go on: "
                "there is no headroom left at this batch size.",
                "",
            )
        if purpose is Purpose.CONFIRM:
            return self._rising(cap, peak_bytes) or self._stable(cap)
        return self._stable(cap)

    def _stable(self, cap: MemoryCap) -> Judgement:
        return Verdict.STABLE, f"{self.attempted} steps within {size_text(cap.cap_bytes)}.", ""

    def leaked(
        self, cap: MemoryCap, peak_bytes: int, requested_bytes: int | None
    ) -> Judgement | None:
        """The verdict of a run that ran out of memory because memory grew from step to step.

        ``None`` unless the growth is clear, kept its pace to the end, and was at least as large
        as the allocation that failed: without it there would have been room.
        """
        if self.measured < SHORTEST_LEAK:
            return None
        growth = self.lasting_growth(cap.cap_bytes, peak_bytes, is_over=False)
        if growth is None or not is_leak(growth):
            return None
        grown_bytes = growth.bytes_per_step * self.measured
        if grown_bytes < (requested_bytes or 0):
            return None
        return (
            Verdict.LEAK,
            f"Memory held between steps grew by {size_text(growth.bytes_per_step)} per step until "
            f"training ran out of memory at step {self.attempted}.",
            LEAK_HINT,
        )

    def _rising(self, cap: MemoryCap, peak_bytes: int) -> Judgement | None:
        """What will fail later although it ran: a leak, or a peak that creeps up."""
        growth = self.lasting_growth(cap.cap_bytes, peak_bytes)
        if growth is not None and is_leak(growth):
            return (
                Verdict.LEAK,
                f"Memory held between steps starts at {size_text(self.static_bytes or 0)} and "
                f"grows by {size_text(growth.bytes_per_step)} per step: training would run out of "
                f"memory near step {growth.dies_at_step}.",
                LEAK_HINT,
            )
        earlier, reached = self.peak_at_half(), self.peak_of_steps(peak_bytes)
        rise = max(reached - earlier, self.slowing_rise())
        ahead = max(peak_ahead(earlier, reached), reached + self.slowing_rise())
        if still_creeps(reached - rise, reached, cap.cap_bytes) and ahead > cap.cap_bytes:
            return (
                Verdict.OOM,
                f"Memory still rises: {size_text(rise)} over the last "
                f"{self.measured // 2} steps, to {size_text(reached)}. A longer run would "
                f"exceed the cap of {size_text(cap.cap_bytes)}.",
                "Batches of varying size fragment the allocator's memory: use a smaller batch, pad "
                "to fewer different sizes, or set expandable segments on CUDA.",
            )
        return None


def _small_size(size_bytes: float) -> str:
    return f"{size_bytes / KIB:.1f} KiB" if size_bytes < 100 * KIB else size_text(size_bytes)
