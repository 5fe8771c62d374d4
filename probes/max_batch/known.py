"""What is known in a max-batch search: what passes, what fails, and what the curves say.

Pure functions over the measurements of one config. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from probes.curve import Curve, fit
from probes.doubt import is_too_slow
from probes.max_batch.bounds import Bounds
from probes.max_batch.late_failure import (
    edge_by_the_peak,
    is_crash,
    refutes,
    says_brackets_pass,
    with_enough_steps,
)
from probes.max_batch.multiples import are_powers, is_refused, unit
from probes.max_batch.result import measured_peaks, memory_curve, step_points
from probes.measurement import Measurement, Purpose
from probes.prior import Prior

FAR = 2.0
"""An edge beyond this multiple of the largest passing batch is approached in steps."""
MARGIN = 0.01
"""How far below the predicted edge the confirmation goes, relative."""


class Known:
    """The measurements of a search, the bounds they are judged by, and what follows from both."""

    def __init__(self, bounds: Bounds, prior: Prior | None) -> None:
        self.bounds = bounds
        self.prior = prior
        self.measurements: list[Measurement] = []

    def add(self, measurement: Measurement) -> None:
        """It may tell how many samples there are, or that only some batches are taken at all."""
        self.measurements.append(measurement)
        samples, known = measurement.epoch_samples, self.bounds.dataset_size
        if samples is not None and (known is None or samples < known):
            source = measurement.epoch_samples_from
            self.bounds = replace(
                self.bounds, dataset_size=samples, is_size_counted=True, size_source=source
            )
        if self.bounds.effective_batch_size is None:
            self.bounds = replace(
                self.bounds,
                multiple_of=unit(self.measurements),
                are_powers=are_powers(self.measurements),
            )

    # -- what passes and what fails --------------------------------------------------------

    def passes(self, measurement: Measurement) -> bool:
        return (
            measurement.passed
            and not is_too_slow(measurement, self.bounds.step_edge_s)
            and self.collapse(measurement) is None
        )

    def collapse(self, measurement: Measurement) -> float | None:
        """How many times longer a sample takes than at the largest clearly smaller batch that
        passed undisturbed; ``None`` if that is tolerable."""
        allowed, timing = self.bounds.slowest_sample, measurement.step_time
        if allowed is None or timing is None or measurement.tainted:
            return None
        smaller = [
            m
            for m in self.measurements
            if m.passed and m.step_time is not None and not m.tainted
            if m.batch_size <= 0.8 * measurement.batch_size
        ]
        if not smaller:
            return None
        other = max(smaller, key=lambda m: m.batch_size)
        assert other.step_time is not None
        times = (timing.mean_s / measurement.effective_batch_size) / (
            other.step_time.mean_s / other.effective_batch_size
        )
        return times if times > allowed else None

    @property
    def failing(self) -> list[Measurement]:
        ceiling = self.bounds.ceiling
        return [
            m
            for index, m in enumerate(self.measurements)
            if m.batch_size <= ceiling
            and not self.passes(m)
            and not self._is_refuted(index)
            and not is_refused(m, self.measurements)
        ]

    def _is_refuted(self, index: int) -> bool:
        """Whether a crash was chance: the batch passed in a later run."""
        crash, later = self.measurements[index], self.measurements[index + 1 :]
        return is_crash(crash) and any(refutes(m, crash) for m in later)

    @property
    def passing(self) -> list[Measurement]:
        return [m for m in self.measurements if self.passes(m)]

    @property
    def confirmations(self) -> list[Measurement]:
        """Those that passed."""
        return [m for m in self.passing if m.purpose is Purpose.CONFIRM]

    @property
    def hi(self) -> int:
        """Lowest failing batch; one above the ceiling when nothing failed."""
        return min((m.batch_size for m in self.failing), default=self.bounds.ceiling + 1)

    @property
    def lo(self) -> int:
        """Highest passing batch below every failing one; 0 when there is none."""
        hi, late = self.hi, self.fails_late
        return max(
            (
                m.batch_size
                for m in self.passing
                if m.batch_size < hi and (m.purpose is Purpose.CONFIRM or not late)
            ),
            default=0,
        )

    @property
    def fails_late(self) -> bool:
        """Whether a confirmation failed where a bracket would have passed: a few steps then say
        nothing about what passes, and only confirmations count."""
        passing = self.passing
        return bool(self.slower_than_short) or any(
            says_brackets_pass(m, passing) for m in self.failing
        )

    @property
    def slower_than_short(self) -> list[Measurement]:
        """Confirmations beyond the time edge, at batches that are within it by the short probes."""
        edge_s, short = self.bounds.step_edge_s, self.short_time
        if edge_s is None or short is None:
            return []
        return [
            m
            for m in self.measurements
            if m.purpose is Purpose.CONFIRM and m.passed and is_too_slow(m, edge_s)
            if short.value(m.batch_size) <= edge_s
        ]

    def is_confirmed(self, batch_size: int) -> bool:
        return any(m.batch_size == batch_size for m in self.confirmations)

    def with_enough_steps(self, hi: int) -> int:
        """The batch of which the training is long enough for a confirmation, where that of ``hi``
        was too short; otherwise 0."""
        found = (with_enough_steps(m) for m in self.failing if m.batch_size == hi)
        return self.bounds.useful(max(found, default=0))

    # -- prediction ------------------------------------------------------------------------

    @property
    def memory(self) -> Curve | None:
        return memory_curve(self.measurements, self.prior)

    @property
    def time(self) -> Curve | None:
        return fit(step_points(measured_peaks(self.measurements)))

    @property
    def short_time(self) -> Curve | None:
        """Step time by the short probes alone."""
        short = [m for m in self.measurements if m.purpose is Purpose.BRACKET]
        return fit(step_points(measured_peaks(short)))

    @property
    def edge(self) -> float:
        """Predicted largest batch that passes; infinite when the ceiling seems to."""
        step_time, edge_s = self.time, self.bounds.step_edge_s
        if step_time is None or edge_s is None:
            return self.memory_edge
        return min(self.memory_edge, step_time.reaches(edge_s, self.bounds.ceiling))

    @property
    def memory_edge(self) -> float:
        """Predicted largest batch within the cap; infinite when the ceiling seems to be."""
        memory = self.memory
        if memory is None or not self.cap_bytes:
            return math.inf
        passing, held_bytes = self.passing, self.held_bytes
        ended = [edge_by_the_peak(m, passing, held_bytes) for m in self.failing]
        return min([memory.reaches(self.cap_bytes, self.bounds.ceiling), *ended])

    @property
    def cap_bytes(self) -> int:
        """The cap of the latest run that had one; 0 where none had."""
        return next((m.cap_bytes for m in reversed(self.measurements) if m.cap_bytes), 0)

    @property
    def held_bytes(self) -> int:
        """The least that was held between steps; 0 where that is unknown."""
        return min((m.static_bytes for m in self.passing if m.static_bytes), default=0)

    # -- batches worth trying --------------------------------------------------------------

    def step(self, batch_size: int) -> int:
        """How far above an answer a failure must be found."""
        to_next = self.bounds.next_useful(batch_size) - batch_size
        return max(to_next, math.floor(batch_size * self.bounds.resolution))

    def useful(self, batch_size: int) -> int:
        """A batch worth trying for this one: below it, but not one that is known to pass."""
        lo, below = self.lo, self.bounds.useful(batch_size)
        return self.bounds.next_useful(lo) if below <= lo < batch_size else below

    def below(self, edge: float) -> int:
        """The batch to confirm for a predicted edge: a little below it where that is possible."""
        if math.isinf(edge):
            return self.bounds.ceiling
        margin = MARGIN * edge
        return self.bounds.useful(math.floor(edge - margin if margin >= 1 else edge + 1e-6))

    def just_below(self, hi: int) -> int:
        """The smallest batch for which a failure at ``hi`` is close enough."""
        batch = hi - self.step(hi)
        return batch if batch + self.step(batch) >= hi else batch + 1

    def above(self, lo: int, tried: Iterable[int]) -> int:
        """What should fail, where the curve says no more than ``lo`` and yet that passed: in steps
        that grow with each batch just below that was tried and passed too."""
        surprises = sum(0.75 * lo <= batch < lo for batch in tried)
        return lo + (self.step(lo) << surprises)

    def between(self, lo: int, hi: int) -> int:
        """A batch in the middle, on a scale of ratios where they are far apart."""
        middle = math.isqrt(lo * hi) if hi > FAR * lo else (lo + hi) // 2
        return self.useful(min(max(middle, lo + 1), hi - 1))
