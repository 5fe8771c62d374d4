"""Which batch to confirm next, once a confirmation has failed where short probes pass.

Only confirmations count from then on. They are dear, so each goes to where what is known of such
failures (``probes.max_batch.late_failure``) puts the edge. Pure. Standard library only, Python 3.10
syntax.
"""

from __future__ import annotations

import math

from probes.max_batch.known import FAR, Known
from probes.max_batch.late_failure import (
    WIDER,
    asks_alike,
    edge_by_the_peak,
    evaluation_edge,
    in_evaluation,
    is_late,
    is_near_the_cap,
    lasting_edge,
    says_brackets_pass,
)
from probes.max_batch.result import FAR_APART, step_points
from probes.measurement import Purpose


def next_confirmation(known: Known, lo: int, hi: int) -> int:
    """Between what is confirmed and what fails; 0 where short probes still tell what passes."""
    if any(m.batch_size == hi for m in in_evaluation(known.failing)):
        return _below_evaluation(known, lo, hi)
    if any(m.batch_size == hi for m in known.slower_than_short):
        return _below_slow_steps(known, lo, hi)
    return _below_late_failure(known, lo, hi) if known.fails_late else 0


def _below_late_failure(known: Known, lo: int, hi: int) -> int:
    """Where the curve of what has been confirmed says so. Where it says more than the failures
    allow: a little below a failure near the edge, further each time; else halfway."""
    enough = known.with_enough_steps(hi)
    if lo < enough < hi:
        return enough
    memory, passing = known.memory, known.passing
    near = [
        m
        for m in known.failing
        if says_brackets_pass(m, passing)
        if m.batch_size < FAR * hi and is_near_the_cap(m, memory)
    ]
    surprises = sum(m.batch_size < lo for m in known.confirmations)
    if lo > 0 and surprises < 2 and known.cap_bytes:
        target = known.below(lasting_edge(passing, lo, known.cap_bytes, known.bounds.ceiling))
        if target < lo + known.step(lo):
            target = _above_confirmed(known, lo)
        if target < hi:
            return target
    if near and (by_the_peak := _by_the_peak(known, lo, hi)):
        return by_the_peak
    back = hi - known.step(hi) * WIDER ** (len(near) - 1) if near else 0
    if near and lo == 0:
        alike = asks_alike([m for m in known.failing if is_late(m)])
        back = hi // FAR_APART if alike else max(back, hi // 2)
    if back < 1 or (lo > 0 and back < (lo + hi) // 2):
        return known.between(max(lo, 1), hi)
    return back


def _below_evaluation(known: Known, lo: int, hi: int) -> int:
    """An evaluation needs more than training, and nothing that was measured of training says at
    which batch. Its peak does where the run was ended at it, and so does that of a confirmation
    that passed; otherwise halfway."""
    if by_the_peak := _by_the_peak(known, lo, hi):
        return by_the_peak
    if lo == 0:
        share = FAR_APART if asks_alike(in_evaluation(known.failing)) else 2
        return max(1, hi // share)
    edge = evaluation_edge(known.passing, known.cap_bytes)
    if math.isinf(edge):  # at what is confirmed, training took more
        return _below_late_failure(known, lo, hi)
    target = known.below(min(edge, float(hi)))
    if target <= lo:
        target = _above_confirmed(known, lo)
    return target if target < hi - known.step(lo) else known.between(lo, hi)


def _below_slow_steps(known: Known, lo: int, hi: int) -> int:
    """Steps take longer in a long run than in a short probe, as beside other work or where a device
    throttles. Between a confirmation within the time edge and one beyond, a line says where the
    edge is; before that, the time of the short probes, raised by what the confirmations took more.
    A further surprise then goes twice as far."""
    short, edge_s = known.short_time, known.bounds.step_edge_s
    assert short is not None and edge_s is not None  # else nothing would be slower than they say
    long = step_points({m.batch_size: m for m in [*known.slower_than_short, *known.confirmations]})
    least = known.step(hi)
    if lo > 0 and {lo, hi} <= long.keys():
        edge = lo + (edge_s - long[lo]) / (long[hi] - long[lo]) * (hi - lo)
    else:
        more = [s / short.value(b) for b, s in long.items() if short.value(b) > 0]
        edge = short.reaches(edge_s / max([1.0, *more]), known.bounds.ceiling)
        least <<= len(long) - 1
    target = known.bounds.useful(min(known.below(min(edge, known.memory_edge)), hi - least))
    if lo > 0 and target < lo + known.step(lo):
        target = _above_confirmed(known, lo)
    return target if lo < target < hi else known.between(max(lo, 1), hi)


def _by_the_peak(known: Known, lo: int, hi: int) -> int:
    """The batch to confirm by the peak of the lowest run that failed late; 0 where it does not
    say. It was ended at its peak, and the line may be too steep: until something is confirmed,
    each further failure that was found so doubles the least distance from it."""
    confirmed = known.confirmations
    edges = {
        m.batch_size: edge
        for m in known.failing
        if m.batch_size < FAR * hi and (m.purpose is Purpose.CONFIRM or is_late(m))
        if math.isfinite(edge := edge_by_the_peak(m, confirmed, known.held_bytes))
    }
    if hi not in edges:
        return 0
    least = known.step(hi) << (0 if lo else len(edges) - 1)
    target = known.bounds.useful(min(known.below(edges[hi]), hi - least))
    if lo > 0 and target < lo + known.step(lo):
        target = _above_confirmed(known, lo)
    return target if lo < target < hi else 0


def _above_confirmed(known: Known, lo: int) -> int:
    """The first that passed was no surprise: it was asked for at a batch that ought to pass."""
    return known.above(lo, [m.batch_size for m in known.confirmations[1:]])
