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
from collections.abc import Callable
from dataclasses import dataclass, replace

from probes.curve import Estimate, reaches
from probes.doubt import is_too_slow
from probes.expected_step import expected_step
from probes.max_batch.bounds import Bounds
from probes.max_batch.known import FAR, Known
from probes.max_batch.late_failure import (
    are_alike,
    crash_to_repeat,
    crashes_since_it_passed,
    is_early_crash,
    is_in_vain,
    is_late,
    is_of_any_size,
    is_out_of_reach,
    is_size_in_doubt,
    is_strange,
    why_at_any_size,
    why_in_vain,
)
from probes.max_batch.late_search import next_confirmation
from probes.max_batch.multiples import multiple_to_try, power_to_try, why_refused
from probes.max_batch.result import (
    Failing,
    MaxBatch,
    curve_points,
    measured_peaks,
    phases_of,
    why_not_more,
    why_nothing,
    wrong_loss,
)
from probes.measurement import Measurement, Purpose
from probes.prior import Prior
from probes.timeouts import ExpectedStep

DEFAULT_START = 8
LARGEST_JUMP = 32
"""Without a prior, a probe is at most this multiple of the largest passing batch."""
PROBE_AT = 0.6
"""Fraction of a predicted edge where the curve is measured before the edge is tried."""
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
    is_again: bool = False
    """What an earlier run of this batch told is in doubt: a stored result of it will not do."""


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
        self.start = bounds.useful(max(1, min(start, bounds.ceiling)))
        self._known = Known(bounds, prior or None)

    @property
    def bounds(self) -> Bounds:
        return self._known.bounds

    @property
    def measurements(self) -> list[Measurement]:
        return self._known.measurements

    def tell(self, measurement: Measurement) -> None:
        """A measurement of this config: the last ask's, or one that was known before."""
        self._known.add(measurement)

    # -- what to probe next ----------------------------------------------------------------

    def ask(self) -> Ask | None:
        """The next probe, or ``None`` when the answer is known (or cannot be found)."""
        known = self._known
        if not self.measurements:
            return self._first()
        if self._is_in_vain():
            return None
        if to_be_sure := self._again() or self._multiple() or self._crashed():
            return to_be_sure
        if len(self.measurements) >= MAX_PROBES:
            return self._last_word()
        lo, hi = known.lo, known.hi
        if hi > 1 and is_size_in_doubt(known.failing, known.passing, known.memory):
            return self._smallest()
        if lo == 0 and (hi <= 1 or is_of_any_size(known.failing) or is_out_of_reach(known.failing)):
            return None
        if lo == 0 and not known.fails_late:
            return self._smaller(hi)
        if hi - lo <= known.step(lo) or 0 < known.with_enough_steps(hi) <= lo:
            return None if known.is_confirmed(lo) else self._ask(lo, Purpose.CONFIRM)
        if to_confirm := next_confirmation(known, lo, hi):
            return self._ask(to_confirm, Purpose.CONFIRM)
        edge = known.edge
        if math.isinf(edge) and not known.failing:
            return self._towards_ceiling(lo)
        target = known.below(edge)
        if target >= hi:
            return self._contradicted(lo, hi)
        if target > FAR * lo:
            return self._ask(self._approach(lo, target), Purpose.BRACKET)
        return self._at_the_edge(lo, hi, target)

    def _is_in_vain(self) -> bool:
        """Whether no batch can run, or none any more."""
        known = self._known
        cannot = not known.passing and any(Failing(m).is_for_every_batch for m in known.failing)
        crashes = crashes_since_it_passed(self.measurements)
        is_wrong = wrong_loss(self.measurements) is not None
        return is_wrong or cannot or is_in_vain(crashes, known.failing)

    def _first(self) -> Ask:
        """Where the prior says 60 % of the edge is; without one, or where time may bind, small."""
        ceiling, prior = self.bounds.ceiling, self._known.prior
        if prior is None or self.bounds.step_edge_s is not None:
            return self._ask(self.start, Purpose.BRACKET)
        edge = reaches(prior.at, prior.cap_bytes, ceiling)
        if math.isinf(edge) and prior.at(ceiling) < ROOMY * prior.cap_bytes:
            return self._ask(ceiling, Purpose.CONFIRM)
        return self._ask(max(1, int(PROBE_AT * min(edge, ceiling))), Purpose.BRACKET)

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
        return self._known.prior is None and len(measured_peaks(self.measurements)) < 2

    def _at_the_edge(self, lo: int, hi: int, target: int) -> Ask:
        """First what should fail, then, with the failure close above, the confirmation."""
        known = self._known
        if target <= lo:
            above = known.above(lo, measured_peaks(self.measurements))
            return self._ask(above, Purpose.BRACKET) if above < hi else self._halve(lo, hi)
        above = target + known.step(target)
        if above < hi:
            close = known.just_below(hi)
            if known.failing and max(lo + 1, target) <= close <= known.edge:
                # What fails is nearly close enough.
                return self._ask(close, Purpose.CONFIRM)
            return self._ask(above, Purpose.BRACKET)
        if not known.failing:
            return self._ask(self.bounds.ceiling, Purpose.CONFIRM)
        return self._ask(target, Purpose.CONFIRM)

    def _contradicted(self, lo: int, hi: int) -> Ask:
        """The curve says more than a failure allows. Close below it the curve is still good, so
        step back, each time twice as far; otherwise halve. A training that is too short has
        nothing to do with the curve."""
        known = self._known
        if any(m.batch_size == hi and m.phase == "data" for m in known.failing):
            return self._halve(lo, hi)
        contradictions = sum(m.batch_size < FAR * hi for m in known.failing)
        back = hi - known.step(hi) * 2 ** (contradictions - 1)
        if hi > FAR * lo or back <= (lo + hi) // 2:
            return self._halve(lo, hi)
        back = known.useful(back)
        return self._ask(back, self._purpose(back, hi))

    def _halve(self, lo: int, hi: int) -> Ask:
        middle = self._known.between(lo, hi)
        return self._ask(middle, self._purpose(middle, hi))

    def _purpose(self, batch_size: int, hi: int) -> Purpose:
        """If passing here would end the search, let it be the confirmation."""
        known = self._known
        near = hi - batch_size <= known.step(batch_size) and bool(known.failing)
        return Purpose.CONFIRM if near or known.fails_late else Purpose.BRACKET

    def _again(self) -> Ask | None:
        """A batch that passed, once more: it has crashed since then, which may be chance, or since
        then batches of any size seem to fail in the same way."""
        if crashes := crashes_since_it_passed(self.measurements):
            return replace(self._ask(crashes[0].batch_size, crashes[0].purpose), is_again=True)
        known = self._known
        if not known.lo or not are_alike(known.failing):
            return None
        first = next(m for m in known.failing if is_early_crash(m))
        later = self.measurements[self.measurements.index(first) :]
        if any(m.passed for m in later):
            return None
        return replace(self._ask(known.lo, Purpose.BRACKET), is_again=True)

    def _multiple(self) -> Ask | None:
        """A batch that may be taken where the one that crashed was not."""
        bounds = self.bounds
        if bounds.effective_batch_size is not None:
            return None  # it says already which batches are tried
        lo, measurements = self._known.lo, self.measurements
        batch_size = multiple_to_try(measurements, lo, bounds.ceiling)
        batch_size = batch_size or power_to_try(measurements, lo, bounds.ceiling)
        return None if batch_size is None else self._ask(batch_size, Purpose.BRACKET)

    def _crashed(self) -> Ask | None:
        """A batch whose crash may be chance, once more."""
        known = self._known
        crash = crash_to_repeat(known.failing, known.passing, known.memory)
        if crash is None or len(self.measurements) >= MAX_PROBES:
            return None
        return replace(self._ask(crash.batch_size, crash.purpose), is_again=True)

    def _smaller(self, hi: int) -> Ask | None:
        """Nothing has passed yet: much smaller, or less so where that is not taken at all."""
        tried = {m.batch_size for m in self.measurements}
        smaller = (self.bounds.useful(max(1, hi // by)) for by in (8, 4, 2))
        batch_size = next((batch for batch in smaller if batch not in tried), None)
        return None if batch_size is None else self._ask(batch_size, Purpose.BRACKET)

    def _smallest(self) -> Ask:
        """Does the smallest batch fail in the same way? If it does, size is not the cause, and
        shrinking the batch further would be a lie."""
        strange = [m for m in self._known.failing if is_strange(m)]
        late = any(is_late(m) for m in strange)
        return self._ask(1, Purpose.CONFIRM if late else strange[0].purpose)

    def _last_word(self) -> Ask | None:
        """Out of probes: confirm what is known to pass, and stop."""
        known = self._known
        lo = known.lo
        spare = len(self.measurements) < MAX_PROBES + 3
        return (
            self._ask(lo, Purpose.CONFIRM) if lo and spare and not known.is_confirmed(lo) else None
        )

    def _ask(self, batch_size: int, purpose: Purpose) -> Ask:
        batch_size = self._known.useful(batch_size)
        memory, step_time = self._known.memory, self._known.time
        return Ask(
            batch_size,
            purpose,
            memory.at(batch_size) if memory else None,
            step_time.at(batch_size) if step_time else None,
            self.bounds.longest_step_s,
            expected_step(self.measurements, batch_size),
        )

    # -- the answer ------------------------------------------------------------------------

    def result(self) -> MaxBatch:
        """The answer so far: the highest *confirmed* batch below every failing one."""
        known = self._known
        if wrong := wrong_loss(self.measurements):
            why = why_nothing(Failing(wrong))
            return MaxBatch(None, None, why, None, wrong, list(self.measurements))
        lowest = min(known.failing, key=lambda m: m.batch_size, default=None)
        failing = None
        if lowest is not None:
            failing = Failing(lowest, self.bounds.longest_step_s, known.collapse(lowest))
        confirmed = [m for m in known.confirmations if m.batch_size < known.hi]
        measurements, curve = list(self.measurements), known.memory
        if not confirmed and (crashes := crashes_since_it_passed(measurements)):
            why = why_in_vain(crashes[0])
            return MaxBatch(None, "failure", why, None, crashes[0], measurements)
        if not confirmed:
            binding = failing.binding if failing else None
            why = why_nothing(failing, known.failing) + why_at_any_size(known.failing)
            why += why_refused(measurements)
            return MaxBatch(None, binding, why, None, lowest, measurements)
        best = max(confirmed, key=lambda m: m.batch_size)
        bounds = self.bounds
        if is_too_slow(best, bounds.longest_step_s):  # and smaller micro-batches are slower still
            failing = Failing(best, bounds.longest_step_s)
            return MaxBatch(None, "time", why_nothing(failing), None, best, measurements)
        if best.batch_size >= bounds.ceiling:
            binding = bounds.ceiling_binding
        else:
            binding = (failing.binding or "shape") if failing else "cap"
        last = math.ceil(1.25 * best.batch_size)
        return MaxBatch(
            best.batch_size,
            binding,
            why_not_more(binding, failing, bounds) + why_refused(measurements),
            best,
            lowest,
            measurements,
            curve_points(curve, measurements, last) if curve else [],
            phases_of(best, measurements),
        )


def run_search(search: MaxBatchSearch, probe: Callable[[Ask], Measurement]) -> MaxBatch:
    """Drive a search to its end with a function that runs one probe."""
    while (ask := search.ask()) is not None:
        search.tell(probe(ask))
    return search.result()
