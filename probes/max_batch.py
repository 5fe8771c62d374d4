"""The search for the maximum stable batch. Pure: it asks for a probe and is told the measurement.

Memory against the batch is learnt from an analytic prior where there is one and from one or two
short probes, one of them at 60 % of the predicted edge. Then the probe just *above* the edge comes
first: it fails within a step or two and costs next to nothing, or it passes and corrects the curve
before anything dear was run. The long confirmation run comes last, once, just below it. So every
answer rests on a passing confirmation and a failure within ``resolution`` above; predictions only
decide where to look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from probes.bounds import DEFAULT_CAP, Bounds
from probes.curve import Curve, Estimate, fit, reaches
from probes.doubt import is_too_slow
from probes.expected_step import expected_step
from probes.late_failure import (
    FAR_APART,
    WIDER,
    asks_alike,
    edge_by_the_peak,
    evaluation_edge,
    in_evaluation,
    is_late,
    is_near_the_cap,
    is_of_any_size,
    is_size_in_doubt,
    is_strange,
    lasting_edge,
    says_brackets_pass,
    why_at_any_size,
    with_enough_steps,
)
from probes.max_batch_result import (
    Failing,
    MaxBatch,
    curve_points,
    measured_peaks,
    memory_curve,
    phases_of,
    step_points,
    why_not_more,
    why_nothing,
)
from probes.measurement import Measurement, Purpose
from probes.prior import Prior
from probes.timeouts import ExpectedStep

__all__ = ["DEFAULT_CAP", "Ask", "Bounds", "MaxBatchSearch", "run_search"]

DEFAULT_START = 8
LARGEST_JUMP = 32
"""Without a prior, a probe is at most this multiple of the largest passing batch."""
PROBE_AT = 0.6
"""Fraction of a predicted edge where the curve is measured before the edge is tried."""
FAR = 2.0
"""An edge beyond this multiple of the largest passing batch is approached in steps."""
MARGIN = 0.01
"""How far below the predicted edge the confirmation goes, relative."""
ROOMY = 0.7
"""Where the prior puts the ceiling below this share of the cap, that is confirmed at once."""
MAX_PROBES = 24


@dataclass(frozen=True)
class Ask:
    """The probe the search wants next, with what it expects to see."""

    batch_size: int
    purpose: Purpose
    peak_bytes: Estimate | None = None
    step_time_s: Estimate | None = None
    longest_step_s: float | None = None
    """The time edge: a disturbed run beyond it proves nothing and is worth repeating."""
    expected_step: ExpectedStep | None = None
    """How long a step should take, for the time-outs."""


class MaxBatchSearch:
    """Ask-and-tell search. Call ``ask`` until it returns ``None``, telling each measurement.

    What is already known may be told before the first ask.

    Example::

        search = MaxBatchSearch(Bounds(dataset_size=162))
        while (ask := search.ask()) is not None:
            search.tell(run(ask.batch_size, ask.purpose))
        answer = search.result()
    """

    def __init__(
        self, bounds: Bounds, start: int = DEFAULT_START, prior: Prior | None = None
    ) -> None:
        self.bounds = bounds
        self.start = bounds.useful(max(1, min(start, bounds.ceiling)))
        self.prior = prior or None
        self.measurements: list[Measurement] = []

    # -- what is known ---------------------------------------------------------------------

    def _passes(self, measurement: Measurement) -> bool:
        return (
            measurement.passed
            and not self._too_slow(measurement)
            and self._collapse(measurement) is None
        )

    def _too_slow(self, measurement: Measurement) -> bool:
        return is_too_slow(measurement, self.bounds.step_edge_s)

    def _collapse(self, measurement: Measurement) -> float | None:
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

    def _failing(self) -> list[Measurement]:
        ceiling = self.bounds.ceiling
        return [m for m in self.measurements if m.batch_size <= ceiling and not self._passes(m)]

    def _passing(self) -> list[Measurement]:
        return [m for m in self.measurements if self._passes(m)]

    @property
    def _hi(self) -> int:
        """Lowest failing batch; one above the ceiling when nothing failed."""
        return min((m.batch_size for m in self._failing()), default=self.bounds.ceiling + 1)

    @property
    def _lo(self) -> int:
        """Highest passing batch below every failing one; 0 when there is none."""
        hi, late = self._hi, self._fails_late()
        return max(
            (
                m.batch_size
                for m in self.measurements
                if m.batch_size < hi and (m.purpose is Purpose.CONFIRM or not late)
            ),
            default=0,
        )

    def _fails_late(self) -> bool:
        """Whether a confirmation failed where a bracket would have passed: a few steps then say
        nothing about what passes, and only confirmations count."""
        passing = self._passing()
        return any(says_brackets_pass(m, passing) for m in self._failing())

    def _enough(self, hi: int) -> int:
        """The batch of which the training is long enough for a confirmation, where that of ``hi``
        was too short; otherwise 0."""
        found = (with_enough_steps(m) for m in self._failing() if m.batch_size == hi)
        return self.bounds.useful(max(found, default=0))

    def _confirmed(self, batch_size: int) -> bool:
        return any(
            m.batch_size == batch_size and m.purpose is Purpose.CONFIRM and self._passes(m)
            for m in self.measurements
        )

    def _step(self, batch_size: int) -> int:
        """How far above an answer a failure must be found."""
        to_next = self.bounds.next_useful(batch_size) - batch_size
        return max(to_next, math.floor(batch_size * self.bounds.resolution))

    # -- prediction ------------------------------------------------------------------------

    def _memory(self) -> Curve | None:
        return memory_curve(self.measurements, self.prior)

    def _time(self) -> Curve | None:
        return fit(step_points(measured_peaks(self.measurements)))

    def _edge(self) -> float:
        """Predicted largest batch that passes; infinite when the ceiling seems to."""
        ceiling, edge = self.bounds.ceiling, math.inf
        memory, step_time = self._memory(), self._time()
        if memory is not None and self._cap_bytes:
            passing, held_bytes = self._passing(), self._held_bytes
            ended = [edge_by_the_peak(m, passing, held_bytes) for m in self._failing()]
            edge = min([memory.reaches(self._cap_bytes, ceiling), *ended])
        if step_time is not None and self.bounds.step_edge_s is not None:
            edge = min(edge, step_time.reaches(self.bounds.step_edge_s, ceiling))
        return edge

    @property
    def _cap_bytes(self) -> int:
        """The cap of the latest run that had one; 0 where none had."""
        return next((m.cap_bytes for m in reversed(self.measurements) if m.cap_bytes), 0)

    @property
    def _held_bytes(self) -> int:
        """The least that was held between steps; 0 where that is unknown."""
        return min((m.static_bytes for m in self._passing() if m.static_bytes), default=0)

    def _confirmations(self) -> list[Measurement]:
        return [m for m in self._passing() if m.purpose is Purpose.CONFIRM]

    def _useful(self, batch_size: int) -> int:
        """A batch worth trying for this one: below it, but not one that is known to pass."""
        lo, below = self._lo, self.bounds.useful(batch_size)
        return self.bounds.next_useful(lo) if below <= lo < batch_size else below

    def _ask(self, batch_size: int, purpose: Purpose) -> Ask:
        batch_size = self._useful(batch_size)
        memory, step_time = self._memory(), self._time()
        return Ask(
            batch_size,
            purpose,
            memory.at(batch_size) if memory else None,
            step_time.at(batch_size) if step_time else None,
            self.bounds.longest_step_s,
            expected_step(self.measurements, batch_size),
        )

    # -- the search ------------------------------------------------------------------------

    def ask(self) -> Ask | None:
        """The next probe, or ``None`` when the answer is known (or cannot be found)."""
        if not self.measurements:
            return self._first()
        if any(Failing(m).is_for_every_batch for m in self._failing()):
            return None
        if len(self.measurements) >= MAX_PROBES:
            return self._last_word()
        lo, hi = self._lo, self._hi
        if hi > 1 and is_size_in_doubt(self._failing(), self._passing(), self._memory()):
            return self._smallest()
        if lo == 0 and (hi <= 1 or is_of_any_size(self._failing())):
            return None
        if lo == 0 and not self._fails_late():
            return self._ask(max(1, hi // 8), Purpose.BRACKET)
        if hi - lo <= self._step(lo) or 0 < self._enough(hi) <= lo:
            return None if self._confirmed(lo) else self._ask(lo, Purpose.CONFIRM)
        if any(m.batch_size == hi for m in in_evaluation(self._failing())):
            return self._below_evaluation(lo, hi)
        if self._fails_late():
            return self._below_late_failure(lo, hi)
        edge = self._edge()
        if math.isinf(edge) and not self._failing():
            return self._towards_ceiling(lo)
        target = self._below(edge)
        if target >= hi:
            return self._contradicted(lo, hi)
        if target > FAR * lo:
            return self._ask(self._approach(lo, target), Purpose.BRACKET)
        return self._at_the_edge(lo, hi, target)

    def _first(self) -> Ask:
        """Where the prior says 60 % of the edge is; without one, or where time may bind, small."""
        ceiling, prior = self.bounds.ceiling, self.prior
        if prior is None or self.bounds.step_edge_s is not None:
            return self._ask(self.start, Purpose.BRACKET)
        edge = reaches(prior.at, prior.cap_bytes, ceiling)
        if math.isinf(edge) and prior.at(ceiling) < ROOMY * prior.cap_bytes:
            return self._ask(ceiling, Purpose.CONFIRM)
        return self._ask(max(1, int(PROBE_AT * min(edge, ceiling))), Purpose.BRACKET)

    def _below(self, edge: float) -> int:
        """The batch to confirm for a predicted edge: a little below it where that is possible."""
        if math.isinf(edge):
            return self.bounds.ceiling
        margin = MARGIN * edge
        return self.bounds.useful(math.floor(edge - margin if margin >= 1 else edge + 1e-6))

    def _approach(self, lo: int, target: int) -> int:
        return max(lo + 1, min(int(PROBE_AT * target), LARGEST_JUMP * lo))

    def _towards_ceiling(self, lo: int) -> Ask:
        """Nothing failed, and nothing is predicted to."""
        ceiling = self.bounds.ceiling
        far = ceiling > LARGEST_JUMP * lo or (ceiling > FAR * lo and self._knows_little())
        if far:
            return self._ask(self._approach(lo, ceiling), Purpose.BRACKET)
        return self._ask(ceiling, Purpose.CONFIRM)

    def _knows_little(self) -> bool:
        return self.prior is None and len(measured_peaks(self.measurements)) < 2

    def _at_the_edge(self, lo: int, hi: int, target: int) -> Ask:
        """First what should fail, then, with the failure close above, the confirmation."""
        if target <= lo:
            above = self._above(lo, measured_peaks(self.measurements))
            return self._ask(above, Purpose.BRACKET) if above < hi else self._halve(lo, hi)
        above = target + self._step(target)
        if above < hi:
            return self._ask(above, Purpose.BRACKET)
        if not self._failing():
            return self._ask(self.bounds.ceiling, Purpose.CONFIRM)
        return self._ask(target, Purpose.CONFIRM)

    def _contradicted(self, lo: int, hi: int) -> Ask:
        """The curve says more than a failure allows. Close below it the curve is still good, so
        step back, each time twice as far; otherwise halve."""
        contradictions = sum(m.batch_size < FAR * hi for m in self._failing())
        back = hi - self._step(hi) * 2 ** (contradictions - 1)
        if hi > FAR * lo or back <= (lo + hi) // 2:
            return self._halve(lo, hi)
        back = self._useful(back)
        return self._ask(back, self._purpose(back, hi))

    def _halve(self, lo: int, hi: int) -> Ask:
        middle = math.isqrt(lo * hi) if hi > FAR * lo else (lo + hi) // 2
        middle = self._useful(min(max(middle, lo + 1), hi - 1))
        return self._ask(middle, self._purpose(middle, hi))

    def _purpose(self, batch_size: int, hi: int) -> Purpose:
        """If passing here would end the search, let it be the confirmation."""
        near = hi - batch_size <= self._step(batch_size) and bool(self._failing())
        return Purpose.CONFIRM if near or self._fails_late() else Purpose.BRACKET

    def _below_late_failure(self, lo: int, hi: int) -> Ask:
        """Confirm where the curve of what has been confirmed says so. Where it says more than the
        failures allow: a little below a failure near the edge, further each time; else halve."""
        enough = self._enough(hi)
        if lo < enough < hi:
            return self._ask(enough, Purpose.CONFIRM)
        memory, passing = self._memory(), self._passing()
        near = [
            m
            for m in self._failing()
            if says_brackets_pass(m, passing)
            if m.batch_size < FAR * hi and is_near_the_cap(m, memory)
        ]
        surprises = sum(m.batch_size < lo for m in self._confirmations())
        if lo > 0 and surprises < 2 and self._cap_bytes:
            edge = lasting_edge(passing, lo, self._cap_bytes, self.bounds.ceiling)
            target = self._below(edge)
            if target < lo + self._step(lo):
                target = self._above_confirmed(lo)
            if target < hi:
                return self._ask(target, Purpose.CONFIRM)
        if near and (by_the_peak := self._by_the_peak(lo, hi)):
            return self._ask(by_the_peak, Purpose.CONFIRM)
        back = hi - self._step(hi) * WIDER ** (len(near) - 1) if near else 0
        if near and lo == 0:
            alike = asks_alike([m for m in self._failing() if is_late(m)])
            back = hi // FAR_APART if alike else max(back, hi // 2)
        if back < 1 or (lo > 0 and back < (lo + hi) // 2):
            return self._halve(max(lo, 1), hi)
        return self._ask(back, Purpose.CONFIRM)

    def _by_the_peak(self, lo: int, hi: int) -> int:
        """The batch to confirm by the peak of the lowest run that failed late; 0 where it does not
        say. It was ended at its peak, and the line may be too steep: until something is confirmed,
        each further failure that was found so doubles the least distance from it."""
        confirmed = self._confirmations()
        edges = {
            m.batch_size: edge
            for m in self._failing()
            if m.batch_size < FAR * hi and (m.purpose is Purpose.CONFIRM or is_late(m))
            if math.isfinite(edge := edge_by_the_peak(m, confirmed, self._held_bytes))
        }
        if hi not in edges:
            return 0
        least = self._step(hi) << (0 if lo else len(edges) - 1)
        target = self.bounds.useful(min(self._below(edges[hi]), hi - least))
        if lo > 0 and target < lo + self._step(lo):
            target = self._above_confirmed(lo)
        return target if lo < target < hi else 0

    def _above(self, lo: int, tried: Iterable[int]) -> int:
        """What should fail, where the curve says no more than ``lo`` and yet that passed: in steps
        that grow with each batch just below that was tried and passed too."""
        surprises = sum(0.75 * lo <= batch < lo for batch in tried)
        return lo + (self._step(lo) << surprises)

    def _above_confirmed(self, lo: int) -> int:
        return self._above(lo, [m.batch_size for m in self._confirmations()])

    def _below_evaluation(self, lo: int, hi: int) -> Ask:
        """An evaluation needs more than training, and nothing that was measured of training says
        at which batch. Its peak does where the run was ended at it, and so does that of a
        confirmation that passed; otherwise halve."""
        if by_the_peak := self._by_the_peak(lo, hi):
            return self._ask(by_the_peak, Purpose.CONFIRM)
        if lo == 0:
            share = FAR_APART if asks_alike(in_evaluation(self._failing())) else 2
            return self._ask(max(1, hi // share), Purpose.CONFIRM)
        edge = evaluation_edge(self._passing(), self._cap_bytes)
        if math.isinf(edge):  # at what is confirmed, training took more
            return self._below_late_failure(lo, hi)
        target = self._below(min(edge, float(hi)))
        if target <= lo:
            target = self._above_confirmed(lo)
        if target < hi - self._step(lo):
            return self._ask(target, Purpose.CONFIRM)
        return self._halve(lo, hi)

    def _smallest(self) -> Ask:
        """Does the smallest batch fail in the same way? If it does, size is not the cause, and
        shrinking the batch further would be a lie."""
        strange = [m for m in self._failing() if is_strange(m)]
        late = any(is_late(m) for m in strange)
        return self._ask(1, Purpose.CONFIRM if late else strange[0].purpose)

    def _last_word(self) -> Ask | None:
        """Out of probes: confirm what is known to pass, and stop."""
        lo = self._lo
        spare = len(self.measurements) < MAX_PROBES + 3
        return self._ask(lo, Purpose.CONFIRM) if lo and spare and not self._confirmed(lo) else None

    def tell(self, measurement: Measurement) -> None:
        """A measurement of this config: the last ask's, or one that was known before. It may tell
        how many samples there are."""
        self.measurements.append(measurement)
        samples, known = measurement.epoch_samples, self.bounds.dataset_size
        if samples is not None and (known is None or samples < known):
            source = measurement.epoch_samples_from
            self.bounds = replace(
                self.bounds, dataset_size=samples, is_size_counted=True, size_source=source
            )

    # -- the answer ------------------------------------------------------------------------

    def result(self) -> MaxBatch:
        """The answer so far: the highest *confirmed* batch below every failing one."""
        lowest = min(self._failing(), key=lambda m: m.batch_size, default=None)
        failing = None
        if lowest is not None:
            failing = Failing(lowest, self.bounds.longest_step_s, self._collapse(lowest))
        confirmed = [
            m
            for m in self.measurements
            if m.purpose is Purpose.CONFIRM and self._passes(m) and m.batch_size < self._hi
        ]
        known = list(self.measurements)
        curve = self._memory()
        if not confirmed:
            binding = failing.binding if failing else None
            why = why_nothing(failing) + why_at_any_size(self._failing())
            return MaxBatch(None, binding, why, None, lowest, known)
        best = max(confirmed, key=lambda m: m.batch_size)
        bounds = self.bounds
        if is_too_slow(best, bounds.longest_step_s):  # and smaller micro-batches are slower still
            failing = Failing(best, bounds.longest_step_s)
            return MaxBatch(None, "time", why_nothing(failing), None, best, known)
        if best.batch_size >= bounds.ceiling:
            binding = bounds.ceiling_binding
        else:
            binding = failing.binding if failing else "cap"
        return MaxBatch(
            best.batch_size,
            binding,
            why_not_more(binding, failing, bounds),
            best,
            lowest,
            known,
            curve_points(curve, known, math.ceil(1.25 * best.batch_size)) if curve else [],
            phases_of(best, known),
        )


def run_search(search: MaxBatchSearch, probe: Callable[[Ask], Measurement]) -> MaxBatch:
    """Drive a search to its end with a function that runs one probe."""
    while (ask := search.ask()) is not None:
        search.tell(probe(ask))
    return search.result()
