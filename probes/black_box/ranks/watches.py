"""The plan of a probe for a command on several devices: each rank is watched as one run would be.

The steps are those of rank 0, and the same for all; each rank has a memory of its own. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from probes.black_box.evidence import OutsideEvidence
from probes.black_box.steps import Passed
from probes.black_box.usage import Usage
from probes.black_box.watch import StepWatch
from probes.black_box.windows import Look
from probes.devices.base import MemoryCap
from probes.job import StepPlan


class RankWatches:
    """One ``StepWatch`` per rank; one rank where the command trains on a single device."""

    def __init__(self, plan: StepPlan, caps: Sequence[MemoryCap]) -> None:
        self.ranks = [StepWatch(plan, cap) for cap in caps]
        self._peaks = [0] * len(self.ranks)
        """At the last step, bytes."""
        self._are_done = [False] * len(self.ranks)
        """Whether each had shown enough at the last step."""

    @property
    def first(self) -> StepWatch:
        """Rank 0's. What it says about steps holds for all."""
        return self.ranks[0]

    @property
    def evidence(self) -> OutsideEvidence:
        """Rank 0's; its steps are those of all."""
        return self.first.evidence

    def restart(self) -> None:
        self._are_done = [False] * len(self.ranks)
        for watch in self.ranks:
            watch.restart()

    def begin(self) -> None:
        for watch in self.ranks:
            watch.begin()

    def see(self, now_s: float, usages: Sequence[Usage]) -> None:
        """Memory as it is now, by rank."""
        for watch, usage in zip(self.ranks, usages, strict=True):
            watch.see(Look(now_s, usage.held_bytes, usage.peak_bytes, usage.high_bytes))

    def add(
        self,
        passed: Passed,
        usages: Sequence[Usage],
        steps_ahead: int | None,
        *,
        is_seen: bool = True,
    ) -> bool:
        """Whether every rank has shown enough with these steps. ``is_seen``: the memory of now is
        that after these steps; otherwise their peak is that of the steps before."""
        for rank, (watch, usage) in enumerate(zip(self.ranks, usages, strict=True)):
            if is_seen:
                self._peaks[rank] = usage.peak_bytes
            peak_bytes = self._peaks[rank]
            self._are_done[rank] = watch.add(passed, usage.held_bytes, peak_bytes, steps_ahead)
        return all(self._are_done)

    def is_over(self, usages: Sequence[Usage]) -> bool:
        """Whether a rank has more than it may."""
        return any(
            usage.peak_bytes > watch.cap.cap_bytes
            for watch, usage in zip(self.ranks, usages, strict=True)
        )

    @property
    def is_waiting(self) -> bool:
        """Whether nothing but the first evaluation is open."""
        return bool(self._waiting)

    def has_waited_enough(self, now_s: float) -> bool:
        """Whether the evaluation that the run waits for takes too long."""
        return self.is_waiting and all(w.has_waited_enough(now_s) for w in self._waiting)

    @property
    def _waiting(self) -> list[StepWatch]:
        """Those that wait for the first evaluation, where all others have shown enough."""
        waiting = [watch for watch in self.ranks if watch.is_waiting]
        others = zip(self.ranks, self._are_done, strict=True)
        return waiting if all(done or w.is_waiting for w, done in others) else []
