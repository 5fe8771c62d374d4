"""The valid measurements of one config, and what they show about memory."""

from __future__ import annotations

from collections.abc import Sequence

from app.checks.plan import MeasuredRun, Room, RunPlan, worth

RISES = 0.98
"""A peak may be this share of a smaller batch's and still count as rising: allocators round."""


class MemoryEvidence:
    """Which batches pass and which fail in the available memory. One that did both fails."""

    def __init__(
        self, plan: RunPlan, room: Room, runs: Sequence[MeasuredRun], accept_brackets: bool
    ) -> None:
        cap = room.cap_bytes
        self.runs = runs
        fitting = [r for r in runs if r.fits_in(cap) and (r.confirmed or accept_brackets)]
        top = max((run.batch_size for run in fitting), default=0)
        self.failing = [r for r in runs if r.needed_more_than(cap) and not _excused(r, top)]
        failed = {run.batch_size for run in self.failing}
        self.passing = {
            run.batch_size: run
            for run in sorted(fitting, key=worth)
            if run.batch_size not in failed
        }
        self.sound = [r for r in self.passing.values() if self.failed_below_since(r) is None]
        """Those of ``passing`` without a later failure of a smaller batch."""
        if any(run.refused for run in self.failing):
            self.sound = []
        self.highest = max(self.sound, key=lambda r: r.batch_size, default=None)
        self.lowest = min(self.failing, key=lambda r: r.batch_size, default=None)
        self.exact = [run for run in runs if run.batch_size == plan.batch_size]

    def at_or_below(self, batch_size: int) -> MeasuredRun | None:
        """What shows that a batch fails: a run that refused every batch, else one of this very
        batch, else of the lowest that fails below it."""
        below = [r for r in self.failing if r.refused or r.batch_size <= batch_size]
        return min(
            below,
            key=lambda r: (not r.refused, r.batch_size != batch_size, r.batch_size),
            default=None,
        )

    def above(self, batch_size: int) -> MeasuredRun | None:
        """The lowest that passes above a batch."""
        over = [run for size, run in self.passing.items() if size > batch_size]
        return min(over, key=lambda r: r.batch_size, default=None)

    def failed_below_since(self, run: MeasuredRun) -> MeasuredRun | None:
        """The newest that failed with a smaller batch after this one was run."""
        since = [r for r in self.failing if r.batch_size < run.batch_size and r.id > run.id]
        return max(since, key=lambda r: r.id, default=None)

    @property
    def peaks_rise(self) -> bool:
        """Whether no smaller batch was seen to need more memory than a larger one."""
        peaks = sorted((r.batch_size, r.peak_bytes) for r in self.runs if r.passed and r.peak_bytes)
        largest = 0
        for _, peak in peaks:
            if peak < RISES * largest:
                return False
            largest = max(largest, peak)
        return True


def _excused(run: MeasuredRun, highest_passing: int) -> bool:
    """Whether another process had taken the missing memory, and a batch at least as large passed
    later. Other processes do not cause leaks or limits of kernels."""
    of_others = run.memory_tainted and run.verdict in ("oom", "spill", "stable")
    return of_others and run.batch_size <= highest_passing
