"""What a run of a command shows of its memory, and when that is a leak. Pure.

What is seen at a moment proves nothing (``probes.black_box.windows``). A leak must raise
high-water marks, window after window, at a pace that lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from probes.black_box.windows import Look, Looks, Window
from probes.devices.base import MemoryCap
from probes.formatting import size_text
from probes.measurement import Growth, Measurement, Purpose, Verdict
from probes.stability import (
    OWN_GROWTH_BYTES,
    STEPS_TO_STOP_AT,
    Point,
    halves,
    is_leak,
    keeps_pace,
    may_still_leak,
    still_creeps,
    thinned,
    trend,
)
from probes.worker.evidence import SHORTEST_TREND, RunEvidence

LEAST_WINDOWS = 6
LEAST_STEPS = 30
ACCURACY = 0.75
"""Accuracy of the pace in half a run: windows end about a step away from where steps end."""
LEAST_GROWTH_BYTES = 2**20
"""In all, of a leak. Where nothing leaks, pages that the allocator gives back late add up to some
200 KiB in 100 steps on a machine with other work, evenly enough to look like a leak."""
CERTAIN_GROWTH_BYTES = 16 * 2**20
"""In all, of a leak that one run is enough for. Up to 4.7 MiB were seen in 114 steps, on a busy
machine, of commands that leak nothing: twice in some sixty searches, and never in a second run of
the same batch."""
SOON_STEPS = 1000
"""A growth in doubt is worth a second run where memory would be full after so many more steps."""
FEW_PAIRS = 20
"""One pair of windows in twenty may be out of order in a growth that is certain."""


@dataclass
class OutsideEvidence(RunEvidence):
    """``held_bytes`` are seen at the lines, and are kept for the trace only."""

    looks: Looks = field(default_factory=Looks)

    def see(self, look: Look) -> None:
        self.looks.see(look)

    def evaluated(self, peak_bytes: int) -> None:
        """The first evaluation has raised the high-water mark to this. It takes what it takes, and
        does not creep: the mark counts as if it had come before the steps."""
        self.peaks = [(step, max(peak, peak_bytes)) for step, peak in self.peaks]

    @property
    def has_windows(self) -> bool:
        """Whether memory has been seen often enough to tell a leak, with one window to spare."""
        return len(self._windows()) > LEAST_WINDOWS + 1

    def growth(self, cap_bytes: int | None, peak_bytes: int) -> Growth:
        """The lasting growth, if there is one; else the trend of the exact highs of every few
        steps; else, where the system keeps none, that of the memory seen at the lines."""
        lasting = self.lasting_growth(cap_bytes, peak_bytes)
        return lasting or self._seen_growth(cap_bytes, peak_bytes)

    def _seen_growth(self, cap_bytes: int | None, peak_bytes: int) -> Growth:
        spans = self.looks.spans(self.warmup_steps)[1:] if self.warmup_steps else []
        known = [(step, s.high_bytes) for step, s in spans if s.high_bytes is not None]
        if len(known) < SHORTEST_TREND:
            return super().growth(cap_bytes, peak_bytes)
        return trend(thinned(known), self.measured, cap_bytes, peak_bytes)

    def lasting_growth(
        self, cap_bytes: int | None, peak_bytes: int, *, is_over: bool = True
    ) -> Growth | None:
        """The growth of the high-water marks, where it can be nothing else.

        Either the mark that is kept from the start rises in all windows but one, or the exact
        highs of the windows rise, and the mark that is kept from the start does not deny it.
        """
        windows = self._windows()
        least = LEAST_STEPS if is_over else STEPS_TO_STOP_AT
        if len(windows) <= LEAST_WINDOWS or self.measured < least:
            return None
        series = []
        peaks = _peaks(windows)
        rises = sum(b[1] > a[1] for a, b in zip(peaks, peaks[1:], strict=False))
        if rises >= len(peaks) - 2:
            series.append(peaks)
        highs = _highs(windows)
        if _is_ordered(highs) and self._is_shown(windows, highs):
            series.append(highs)
        for points in series:
            growth = trend(points, self.measured, cap_bytes, peak_bytes)
            earlier, later = halves(points, self.measured)
            if (
                growth.low > OWN_GROWTH_BYTES
                and keeps_pace(earlier, later, ACCURACY)
                and not (is_leak(growth) and self._is_little(growth))
            ):
                return growth
        return None

    def _is_little(self, growth: Growth) -> bool:
        """Whether the allocator explains it too. A leak grows beyond that in a longer run."""
        return growth.bytes_per_step * self.measured < LEAST_GROWTH_BYTES

    def _is_shown(self, windows: list[Window], highs: list[Point]) -> bool:
        """Whether the mark that is kept from the start bears out that the highs rise.

        It rises with them, unless something higher came before, such as an evaluation. Then the
        memory between the steps must rise as well, and by no more than what the mark can hide.
        """
        if windows[-1].peak_bytes > windows[len(windows) // 2].peak_bytes:
            return True
        held = [(w.step, w.held_bytes) for w in windows[1:]]
        rate, seen = trend(highs, self.measured).bytes_per_step, trend(held, self.measured)
        hidden = windows[0].peak_bytes - windows[0].held_bytes
        rise = rate * (windows[-1].step - windows[0].step)
        return seen.low > 0 and rate / 2 < seen.bytes_per_step < rate * 2 and rise < hidden

    def has_settled(self, cap: MemoryCap, peak_bytes: int) -> bool:
        """Whether more steps would tell nothing new about memory."""
        windows = self._windows()
        if len(_highs(windows)) < SHORTEST_TREND:
            return super().has_settled(cap, peak_bytes)
        room = max(0, cap.limit_bytes - peak_bytes)
        growth = self._seen_growth(cap.cap_bytes, peak_bytes)
        peaks = _peaks(windows)
        rises = sum(b[1] > a[1] for a, b in zip(peaks, peaks[1:], strict=False))
        return (
            not still_creeps(self.peak_at_half(), peak_bytes, cap.cap_bytes)
            and 2 * rises < len(peaks)
            and not is_leak(growth)
            and not may_still_leak(growth, room)
        )

    def doubtful_growth(self, cap_bytes: int | None, peak_bytes: int) -> Growth | None:
        """None: what is seen at a moment is no reason for a longer run. ``remarks`` tells of it."""
        return None

    def is_in_doubt(self, cap_bytes: int | None, peak_bytes: int) -> bool:
        """Whether what was seen would be a leak, and the high-water marks do not show one (yet)."""
        return (
            is_leak(self._seen_growth(cap_bytes, peak_bytes))
            and self.lasting_growth(cap_bytes, peak_bytes) is None
        )

    def peak_of_steps(self, peak_bytes: int) -> int:
        """Without what came after the last step, such as a final evaluation."""
        return max((peak for _, peak in self.peaks), default=peak_bytes)

    def slowing_rise(self) -> int:
        """None is certain from outside: ``peak_at_half`` tells of the high-water mark."""
        return 0

    def remarks(self, cap: MemoryCap, peak_bytes: int) -> list[str]:
        """What there is to say about the memory of a run that passed."""
        if self.lasting_growth(cap.cap_bytes, peak_bytes) is not None:
            return super().remarks(cap, peak_bytes)
        seen = self._seen_growth(cap.cap_bytes, peak_bytes)
        if not is_leak(seen):
            return []
        windows = self._windows()
        if self._is_little(seen):
            why = (
                f"but {self.measured} steps are too few to be sure; if it does, training would run "
                f"out of memory near step {seen.dies_at_step}"
            )
        elif len(windows) <= LEAST_WINDOWS or self.measured < LEAST_STEPS:
            why = f"it was seen {len(windows)} times in {self.measured} steps, which is too rarely"
        elif windows[-1].peak_bytes > windows[len(windows) // 2].peak_bytes:
            why = "but not in every part of the run, or more and more slowly"
        else:
            why = f"but its highest did not rise in the last {self.measured // 2} steps"
        return [
            f"cannot tell whether memory grows: it seemed to, by "
            f"{size_text(seen.bytes_per_step)} per step, {why}"
        ]

    def _windows(self) -> list[Window]:
        if not self.warmup_steps:
            return []
        return self.looks.windows(self.warmup_steps, len(self.step_s))


def is_small_leak(measurement: Measurement) -> bool:
    """Whether it takes a second run to tell this leak from what the allocator does."""
    growth = measurement.growth
    return (
        measurement.verdict is Verdict.LEAK
        and growth is not None
        and growth.bytes_per_step * growth.steps < CERTAIN_GROWTH_BYTES
    )


def may_leak_soon(measurement: Measurement) -> bool:
    """Whether a confirmation passed although memory seemed to grow, and would soon be full.

    Pages of 2 MiB hide the growth of short windows.
    """
    growth = measurement.growth
    return (
        measurement.passed
        and measurement.purpose is Purpose.CONFIRM
        and growth is not None
        and is_leak(growth)
        and (growth.dies_at_step or 0) <= growth.steps + SOON_STEPS
    )


def denied_leak(first: Measurement, second: Measurement) -> Measurement:
    """The ``second`` run of a batch whose ``first`` seemed to leak a little, with a note of that
    where it passed."""
    if not second.passed or first.growth is None:
        return second
    note = (
        f"in a first run memory seemed to grow by {size_text(first.growth.bytes_per_step)} per "
        "step; in a second run of the same batch it did not"
    )
    return replace(second, notes=[*second.notes, note])


def _peaks(windows: list[Window]) -> list[Point]:
    return [(w.step, w.peak_bytes) for w in windows]


def _highs(windows: list[Window]) -> list[Point]:
    """The exact highs of the windows; none where the system does not keep them."""
    points = [(w.step, w.high_bytes) for w in windows[1:] if w.high_bytes is not None]
    return points if len(points) == len(windows) - 1 else []


def _is_ordered(points: list[Point]) -> bool:
    """Whether the points rise, but for a pair here and there. Equal values are out of order."""
    values = [value for _, value in points]
    pairs = len(values) * (len(values) - 1) // 2
    wrong = sum(b <= a for i, a in enumerate(values) for b in values[i + 1 :])
    return bool(pairs) and wrong <= pairs // FEW_PAIRS
