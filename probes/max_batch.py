"""The search for the maximum stable batch. Pure: it asks for a probe and is told the measurement.

Two small probes say how memory and time grow with the batch; the edge is predicted from them and
confirmed at once, instead of climbing to it. A failing probe just above the confirmed batch is
the evidence that it is the maximum. Every answer rests on a passing confirmation run; predictions
only decide where to look.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from probes.measurement import Measurement, Purpose, Verdict

DEFAULT_START = 8
DEFAULT_CAP = 65_536
DEFAULT_RESOLUTION = 0.03
LARGEST_JUMP = 32
"""The second probe is at most so many times the first: one point predicts badly far away."""
SECOND_PROBE_AT = 0.6
"""Fraction of the first predicted edge where the second probe goes."""
WELL_BELOW = 0.8
"""A slope is taken between batches at least so far apart, as a ratio, where there are any."""
MARGIN = 0.01
"""How far below the predicted edge the first confirmation goes, relative."""
MAX_PROBES = 24

MEMORY_VERDICTS = {Verdict.OOM, Verdict.SPILL}


@dataclass(frozen=True)
class Bounds:
    """What limits the answer besides memory. ``None`` where there is no such limit."""

    cap: int = DEFAULT_CAP
    """Largest batch to consider at all."""
    dataset_size: int | None = None
    """A batch larger than the data set would repeat samples."""
    longest_step_s: float | None = None
    """Mean step time that must not be exceeded: the time edge."""
    resolution: float = DEFAULT_RESOLUTION
    """Stop when the lowest failing batch is within this fraction of the answer."""

    @property
    def ceiling(self) -> int:
        return self.cap if self.dataset_size is None else min(self.cap, self.dataset_size)


@dataclass(frozen=True)
class Estimate:
    """A prediction with its band, in the unit of what it predicts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ask:
    """The probe the search wants next, with what it expects to see."""

    batch_size: int
    purpose: Purpose
    peak_bytes: Estimate | None = None
    step_time_s: Estimate | None = None
    longest_step_s: float | None = None
    """The time edge: a disturbed run beyond it proves nothing and is worth repeating."""

    def is_too_slow(self, measurement: Measurement) -> bool:
        timing = measurement.step_time
        return (
            self.longest_step_s is not None
            and timing is not None
            and timing.mean_s > self.longest_step_s
        )


@dataclass(frozen=True)
class MaxBatch:
    """The answer. ``max_batch`` is ``None`` when nothing passes; ``reason`` then says why."""

    max_batch: int | None
    binding: str | None
    """``memory``, ``time``, ``data``, ``shape`` or ``cap``; ``None`` when unknown."""
    reason: str
    highest_passing: Measurement | None
    lowest_failing: Measurement | None
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def probes(self) -> int:
        return len(self.measurements)

    @property
    def samples(self) -> int:
        return sum(m.samples for m in self.measurements)

    def to_dict(self) -> dict[str, Any]:
        return {
            "max_batch": self.max_batch,
            "binding": self.binding,
            "reason": self.reason,
            "evidence": {
                "highest_passing": _plain(self.highest_passing),
                "lowest_failing": _plain(self.lowest_failing),
            },
            "probes": self.probes,
            "samples_processed": self.samples,
        }


def _plain(measurement: Measurement | None) -> dict[str, Any] | None:
    return None if measurement is None else measurement.to_dict()


class MaxBatchSearch:
    """Ask-and-tell search. Call ``ask`` until it returns ``None``, telling each measurement.

    Example::

        search = MaxBatchSearch(Bounds(dataset_size=162))
        while (ask := search.ask()) is not None:
            search.tell(run(ask.batch_size, ask.purpose))
        answer = search.result()
    """

    def __init__(self, bounds: Bounds, start: int = DEFAULT_START) -> None:
        self.bounds = bounds
        self.start = max(1, min(start, bounds.ceiling))
        self.measurements: list[Measurement] = []

    # -- what is known ---------------------------------------------------------------------

    def _passes(self, measurement: Measurement) -> bool:
        return measurement.passed and not self._too_slow(measurement)

    def _too_slow(self, measurement: Measurement) -> bool:
        longest, timing = self.bounds.longest_step_s, measurement.step_time
        return longest is not None and timing is not None and timing.mean_s > longest

    def _failing(self) -> list[Measurement]:
        return [m for m in self.measurements if not self._passes(m)]

    @property
    def _hi(self) -> int:
        """Lowest failing batch; one above the ceiling when nothing failed."""
        return min((m.batch_size for m in self._failing()), default=self.bounds.ceiling + 1)

    @property
    def _lo(self) -> int:
        """Highest passing batch below every failing one; 0 when there is none."""
        passing = [m.batch_size for m in self.measurements if self._passes(m)]
        return max((b for b in passing if b < self._hi), default=0)

    def _confirmed(self, batch_size: int) -> bool:
        return any(
            m.batch_size == batch_size and m.purpose is Purpose.CONFIRM and self._passes(m)
            for m in self.measurements
        )

    def _points(self) -> dict[int, Measurement]:
        """The best measurement per batch size that ran to the end, ascending."""
        points: dict[int, Measurement] = {}
        for m in sorted(self.measurements, key=lambda m: m.purpose is Purpose.CONFIRM):
            if m.passed and m.peak_bytes is not None:
                points[m.batch_size] = m
        return dict(sorted(points.items()))

    # -- prediction ------------------------------------------------------------------------

    def _curve(self, quantity: Callable[[Measurement], float | None]) -> _Curve | None:
        """The quantity against the batch, through the largest points that lie well apart.

        Not through all: memory and time are only piecewise smooth (padding, algorithm changes),
        and the edge lies beyond the largest. Well apart, because the slope between close
        neighbours is mostly noise. With three such points an upward bend is followed (pairwise
        losses and attention grow with the square of the batch); a downward bend is not, so that
        the error is on the safe side.
        """
        known = [(b, v) for b, m in self._points().items() if (v := quantity(m)) is not None]
        if not known:
            return None
        apart = [known.pop()]
        while known:
            candidate = known.pop()
            if candidate[0] <= WELL_BELOW * apart[-1][0] or (len(apart) == 1 and not known):
                apart.append(candidate)
        (b2, v2), rest = apart[0], apart[1:]
        if not rest:
            static = self._points()[b2].static_bytes if quantity is _peak else 0.0
            base = min(float(static or 0.0), v2)
            return _Curve(base, (v2 - base) / b2, 0.0, points=1)
        b1, v1 = rest[0]
        slope = max(0.0, (v2 - v1) / (b2 - b1))
        bend = 0.0
        if len(rest) > 1:
            b0, v0 = rest[1]
            bend = max(0.0, (slope - (v1 - v0) / (b1 - b0)) / (b2 - b0))
            slope -= bend * (b1 + b2)
        return _Curve(v2 - slope * b2 - bend * b2 * b2, slope, bend, points=len(apart))

    def _edge(self) -> float:
        """Predicted largest batch that passes; infinite when nothing seems to grow."""
        edge = float(self.bounds.ceiling)
        memory = self._curve(_peak)
        cap_bytes = next((m.cap_bytes for m in reversed(self.measurements) if m.cap_bytes), None)
        if memory is not None and cap_bytes is not None:
            edge = min(edge, memory.reaches(cap_bytes))
        step_time = self._curve(_step_s)
        if step_time is not None and self.bounds.longest_step_s is not None:
            edge = min(edge, step_time.reaches(self.bounds.longest_step_s))
        return edge

    def _ask(self, batch_size: int, purpose: Purpose) -> Ask:
        memory, step_time = self._curve(_peak), self._curve(_step_s)
        return Ask(
            batch_size,
            purpose,
            memory.at(batch_size) if memory else None,
            step_time.at(batch_size) if step_time else None,
            self.bounds.longest_step_s,
        )

    # -- the search ------------------------------------------------------------------------

    def ask(self) -> Ask | None:
        """The next probe, or ``None`` when the answer is known (or cannot be found)."""
        if len(self.measurements) >= MAX_PROBES:
            return self._last_word()
        if not self.measurements:
            return self._ask(self.start, Purpose.BRACKET)
        if (check := self._smallest_check()) is not None:
            return check
        lo, hi = self._lo, self._hi
        if lo == 0:
            return None if hi <= 1 else self._ask(max(1, hi // 8), Purpose.BRACKET)
        step = max(1, math.floor(lo * self.bounds.resolution))
        if hi - lo <= step:
            return None if self._confirmed(lo) else self._ask(lo, Purpose.CONFIRM)
        target = self._edge()
        if target < self.bounds.ceiling:
            margin = MARGIN * target
            target = math.floor(target - margin if margin >= 1 else target + 1e-6)
        far = target > LARGEST_JUMP * lo  # on the way to the edge, not at it: no confirmation yet
        target = min(target, LARGEST_JUMP * lo)
        if target >= hi and self._failing():
            return self._ask(self._halve(lo, hi), self._purpose_near(lo, hi))
        if len(self._points()) < 2 and target > 1.5 * lo:
            return self._ask(self._between(SECOND_PROBE_AT * target), Purpose.BRACKET)
        if target > lo + 2 * step or (target > lo and not self._confirmed(lo)):
            purpose = Purpose.BRACKET if far else Purpose.CONFIRM
            return self._ask(self._between(target), purpose)
        if not self._confirmed(lo):
            return self._surprise(lo, hi, step) or self._ask(lo, Purpose.CONFIRM)
        return self._ask(self._between(lo + step), Purpose.BRACKET)

    def _surprise(self, lo: int, hi: int, step: int) -> Ask | None:
        """The curve says ``lo`` is the edge, but it passed above a confirmed batch: the curve is
        wrong here. Halve towards a known failure, or gallop where there is none."""
        below = [m.batch_size for m in self.measurements if self._confirmed(m.batch_size)]
        if not below or max(below) > lo or hi - lo <= 2 * step:
            return None
        if self._failing():
            return self._ask(self._halve(lo, hi), Purpose.BRACKET)
        return self._ask(self._between(lo + 2 * (lo - max(below))), Purpose.BRACKET)

    def _halve(self, lo: int, hi: int) -> int:
        """A batch in between, where the predicted line contradicts a failure."""
        middle = math.isqrt(lo * hi) if hi > 2 * lo else (lo + hi) // 2
        return min(max(middle, lo + 1), hi - 1)

    def _purpose_near(self, lo: int, hi: int) -> Purpose:
        """Far from the answer a few steps are enough to learn; close to it, confirm at once."""
        return Purpose.CONFIRM if hi <= 1.15 * lo + 1 else Purpose.BRACKET

    def _between(self, target: float) -> int:
        return int(min(max(target, self._lo + 1), self._hi - 1))

    def _smallest_check(self) -> Ask | None:
        """After a failure that is not memory: does the smallest batch fail in the same way?

        If it does, size is not the cause, and shrinking the batch further would be a lie.
        """
        strange = [m for m in self._failing() if self._is_strange(m)]
        if not strange or any(m.batch_size == 1 for m in self.measurements if self._settles(m)):
            return None
        purpose = strange[0].purpose
        return self._ask(1, purpose)

    def _is_strange(self, measurement: Measurement) -> bool:
        return (
            not measurement.passed
            and measurement.verdict not in MEMORY_VERDICTS
            and measurement.verdict is not Verdict.SHAPE_LIMIT
            and measurement.phase != "data"
        )

    def _settles(self, measurement: Measurement) -> bool:
        strange = [m for m in self._failing() if self._is_strange(m)]
        return not measurement.passed or any(m.purpose is measurement.purpose for m in strange)

    def _last_word(self) -> Ask | None:
        """Out of probes: confirm what is known to pass, and stop."""
        lo = self._lo
        spare = len(self.measurements) < MAX_PROBES + 3
        return self._ask(lo, Purpose.CONFIRM) if lo and spare and not self._confirmed(lo) else None

    def tell(self, measurement: Measurement) -> None:
        """The measurement of the last ask."""
        self.measurements.append(measurement)

    # -- the answer ------------------------------------------------------------------------

    def result(self) -> MaxBatch:
        """The answer so far: the highest *confirmed* batch below every failing one."""
        failing = min(self._failing(), key=lambda m: m.batch_size, default=None)
        confirmed = [
            m
            for m in self.measurements
            if m.purpose is Purpose.CONFIRM and self._passes(m) and m.batch_size < self._hi
        ]
        if not confirmed:
            return MaxBatch(
                None,
                self._binding(failing) if failing else None,
                self._why_nothing(failing),
                None,
                failing,
                list(self.measurements),
            )
        best = max(confirmed, key=lambda m: m.batch_size)
        if best.batch_size >= self.bounds.ceiling:
            full = self.bounds.dataset_size is not None and (
                self.bounds.ceiling == self.bounds.dataset_size
            )
            binding: str | None = "data" if full else "cap"
        else:
            binding = self._binding(failing) if failing else "cap"
        return MaxBatch(
            best.batch_size,
            binding,
            self._why(binding, failing),
            best,
            failing,
            list(self.measurements),
        )

    def _binding(self, failing: Measurement) -> str | None:
        if failing.passed:
            return "time"
        if failing.verdict in MEMORY_VERDICTS or failing.verdict is Verdict.LEAK:
            return "memory"
        if failing.phase == "data":
            return "data"
        if failing.batch_size == 1:
            return None
        return "time" if failing.verdict is Verdict.TIMEOUT else "shape"

    def _why(self, binding: str | None, failing: Measurement | None) -> str:
        if binding == "data" and failing is None:
            return f"The data set has {self.bounds.dataset_size} samples."
        if binding == "cap":
            return f"The largest batch considered is {self.bounds.ceiling}."
        if failing is None:
            return ""
        return f"Batch {failing.batch_size} fails: {self._failure_words(failing)}"

    def _failure_words(self, failing: Measurement) -> str:
        if failing.passed and failing.step_time is not None:
            return (
                f"{failing.step_time.mean_s:.3g} s per step, longer than the "
                f"{self.bounds.longest_step_s:.3g} s that fit the window"
                f"{' (the machine was disturbed)' if failing.tainted else ''}."
            )
        return f"{failing.verdict}: {failing.reason}"

    def _why_nothing(self, failing: Measurement | None) -> str:
        if failing is None:
            return "No probe could be run."
        short = short_by_bytes(failing)
        by = f" Short by at least {short / 2**20:.0f} MiB." if short is not None else ""
        return f"Even batch {failing.batch_size} fails: {self._failure_words(failing)}{by}"


@dataclass(frozen=True)
class _Curve:
    """``base + slope * b + bend * b**2``, and how many points it rests on."""

    base: float
    slope: float
    bend: float
    points: int

    def reaches(self, limit: float) -> float:
        """The batch at which the curve reaches ``limit``; infinite when it never does."""
        room = limit - self.base
        if self.bend > 0:
            return (math.sqrt(max(0.0, self.slope**2 + 4 * self.bend * room)) - self.slope) / (
                2 * self.bend
            )
        return max(0.0, room / self.slope) if self.slope > 0 else math.inf

    def at(self, batch_size: int) -> Estimate:
        """Value at a batch, with a band that narrows with the points behind it."""
        band = {1: 0.30, 2: 0.06}.get(self.points, 0.03)
        value = self.base + self.slope * batch_size + self.bend * batch_size**2
        return Estimate(value, value * (1 - band), value * (1 + band))


def _peak(measurement: Measurement) -> float | None:
    return None if measurement.peak_bytes is None else float(measurement.peak_bytes)


def _step_s(measurement: Measurement) -> float | None:
    return None if measurement.step_time is None else measurement.step_time.mean_s


def short_by_bytes(measurement: Measurement) -> int | None:
    """How much more memory a failed run would have needed at the least; ``None`` if unknown."""
    if measurement.cap_bytes is None or measurement.requested_bytes is None:
        return None
    needed = (measurement.peak_bytes or 0) + measurement.requested_bytes
    return max(1, needed - measurement.cap_bytes)


def run_search(search: MaxBatchSearch, probe: Callable[[Ask], Measurement]) -> MaxBatch:
    """Drive a search to its end with a function that runs one probe."""
    while (ask := search.ask()) is not None:
        search.tell(probe(ask))
    return search.result()
