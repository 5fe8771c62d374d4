"""What a failure tells that a short probe would not have seen.

Fragmentation, bursts, leaks and hangs may show after steps in which a bracket passes. From then on
only confirmations count. They are dear, so what is known is used: where memory was near the cap,
the batch is near the edge; and how much more a long run takes than a short one is known once a
confirmation has passed. Pure functions over the measurements of one config. Standard library only,
Python 3.10 syntax.
"""

from __future__ import annotations

from collections.abc import Sequence

from probes.curve import Curve
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, WORST_CASE_STEPS
from probes.max_batch.result import FAR_APART, MEMORY_VERDICTS, memory_curve
from probes.measurement import NEAR_CAP, UNSEEN, Measurement, Purpose, Verdict

LONGEST_BRACKET = BRACKET_PLAN.max_steps + WORST_CASE_STEPS
ENOUGH_STEPS = CONFIRM_PLAN.warmup_steps + CONFIRM_PLAN.measure_steps
WIDER = 4
"""Each further late failure near the edge multiplies the distance downwards by this."""


def says_brackets_pass(failed: Measurement, passing: Sequence[Measurement]) -> bool:
    """Whether a bracket passes where this run failed: by what it failed of, or because one of this
    batch or a larger one did pass."""
    return is_late(failed) or (
        not failed.passed
        and failed.purpose is Purpose.CONFIRM
        and any(m.purpose is Purpose.BRACKET and m.batch_size >= failed.batch_size for m in passing)
    )


def is_late(failed: Measurement) -> bool:
    """Whether a bracket would have passed where this run failed."""
    if failed.passed:
        return False
    if failed.phase == "data" and failed.purpose is Purpose.CONFIRM:
        return failed.steps > 0  # a bracket needs fewer steps, but it needs some
    return failed.steps > LONGEST_BRACKET or failed.verdict is Verdict.LEAK


def with_enough_steps(failed: Measurement) -> int:
    """The batch of which a training has enough steps for a confirmation, where one of this batch
    ended by itself too early; 0 for other failures. Half as many samples per step make twice as
    many steps."""
    if failed.phase != "data" or not is_late(failed):
        return 0
    return int(failed.batch_size * failed.steps / ENOUGH_STEPS)


def is_strange(failed: Measurement) -> bool:
    """Whether it failed for a reason that may have nothing to do with the batch size."""
    return (
        not failed.passed
        and failed.verdict not in MEMORY_VERDICTS
        and failed.verdict is not Verdict.SHAPE_LIMIT
        and failed.phase not in ("data", UNSEEN)
    )


def is_near_the_cap(failed: Measurement, memory: Curve | None) -> bool:
    """Whether most of the memory was in use, or is predicted to be at this batch."""
    if failed.cap_bytes is None:
        return False
    predicted = memory.value(failed.batch_size) if memory is not None else 0.0
    return max(failed.peak_bytes or 0, predicted) >= NEAR_CAP * failed.cap_bytes


def is_crash(failed: Measurement) -> bool:
    """Whether it crashed for a reason that may have nothing to do with the batch size."""
    return failed.verdict is Verdict.CRASH and is_strange(failed)


def is_early_crash(failed: Measurement) -> bool:
    """Whether it crashed before its first step."""
    return is_crash(failed) and failed.steps == 0


def are_alike(failing: Sequence[Measurement]) -> bool:
    """Whether runs of different batches crashed in the same words before their first step."""
    early = {m.batch_size: _without_digits(m.reason) for m in failing if is_early_crash(m)}
    return len(early) > 1 and len(set(early.values())) == 1


def _without_digits(text: str) -> str:
    return "".join(each for each in text if not each.isdigit())


def crashes_since_it_passed(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Early crashes of a batch that had passed in an earlier run, and did nothing else since."""
    found: dict[int, list[Measurement]] = {}
    for m in measurements:
        if m.batch_size in found and is_early_crash(m):
            found[m.batch_size].append(m)
        elif m.batch_size in found or m.passed:
            found[m.batch_size] = []
    return max(found.values(), key=len, default=[])


def crash_to_repeat(
    failing: Sequence[Measurement], passing: Sequence[Measurement], memory: Curve | None
) -> Measurement | None:
    """A crash that may be chance: the lowest failure of all, where other batches trained and there
    was memory to spare. Once a repeated crash came again, crashes are believed."""
    lowest = min(failing, key=lambda m: m.batch_size, default=None)
    if lowest is None or not is_crash(lowest) or not passing or is_near_the_cap(lowest, memory):
        return None
    crashed = [m.batch_size for m in failing if is_crash(m)]
    return None if len(crashed) > len(set(crashed)) else lowest


def refutes(later: Measurement, crash: Measurement) -> bool:
    """Whether a later run of the batch shows that the crash was chance: one that got further."""
    is_as_long = later.purpose is Purpose.CONFIRM or crash.purpose is Purpose.BRACKET
    return later.passed and later.batch_size == crash.batch_size and is_as_long


def is_in_vain(crashes: Sequence[Measurement], failing: Sequence[Measurement]) -> bool:
    """Whether crashes of a batch that had passed are more than chance: they came again, at this
    batch or, in the same words, at another one."""
    others = [m for m in failing if crashes and m.batch_size != crashes[0].batch_size]
    return len(crashes) > 1 or any(are_alike([crashes[0], other]) for other in others)


def why_in_vain(crash: Measurement) -> str:
    """What to say where a batch that had passed crashes again and again."""
    return (
        f"Batch {crash.batch_size} trained in an earlier run and fails now, so the batch size is "
        f"not the reason: {crash.verdict}: {crash.reason} Look for what the earlier runs left "
        "behind, such as files, or a port or a lock that is still held."
    )


def is_size_in_doubt(
    failing: Sequence[Measurement], passing: Sequence[Measurement], memory: Curve | None
) -> bool:
    """Whether nothing says that a smaller batch would not fail in the same way.

    A run of a smaller batch that passed says so, where it was long enough to see such a failure.
    So does the first late failure, near the memory cap: what lies a little below is tried first.
    """
    strange = [m for m in failing if is_strange(m)]
    if not strange:
        return False
    late = any(is_late(m) for m in strange)
    lowest = min(strange, key=lambda m: m.batch_size)
    if any(
        m.batch_size < lowest.batch_size and (m.purpose is Purpose.CONFIRM or not late)
        for m in passing
    ):
        return False
    first = len(strange) == 1 and late and is_near_the_cap(lowest, memory)
    return not first and not any(m.batch_size == 1 for m in failing)


def lasting_edge(passing: Sequence[Measurement], lo: int, cap_bytes: int, ceiling: int) -> float:
    """The batch at which a long run reaches the cap; infinite where it does not, or is unknown.

    The curve of what was confirmed at two batches or more; before, that of the short probes, which
    know more batches, raised by what the confirmation at ``lo`` took more than they say.
    """
    short = memory_curve([m for m in passing if m.purpose is Purpose.BRACKET])
    lasting = memory_curve([m for m in passing if m.purpose is Purpose.CONFIRM])
    if short is None or lasting is None or len(lasting.knots) > 1:
        known = lasting or short
        return float("inf") if known is None else known.reaches(cap_bytes, ceiling)
    expected = short.value(lo)
    raised = max(1.0, lasting.value(lo) / expected) if expected > 0 else 1.0
    return short.reaches(cap_bytes / raised, ceiling)


def edge_by_the_peak(failed: Measurement, passing: Sequence[Measurement], held_bytes: int) -> float:
    """The batch at the cap on a line from the largest batch below that passed, or from what is held
    at batch 0, to the peak at which a run was ended. Infinite where its peak does not say: an
    allocation failed below the cap."""
    peak, cap_bytes = failed.peak_bytes or 0, failed.cap_bytes or 0
    if not 0 < cap_bytes < peak:
        return float("inf")
    taken = {m.batch_size: m.peak_bytes for m in passing if m.peak_bytes}
    below = [(b, y) for b, y in taken.items() if b < failed.batch_size and y <= cap_bytes]
    batch, bytes_ = max(below, default=(0, held_bytes))
    if bytes_ >= cap_bytes:
        return float("inf")
    return batch + (cap_bytes - bytes_) / (peak - bytes_) * (failed.batch_size - batch)


def in_evaluation(failing: Sequence[Measurement]) -> list[Measurement]:
    """Those that failed in an evaluation, or at the end of an epoch, where a bracket passes."""
    return [m for m in failing if m.phase == "evaluate" and is_late(m)]


def asks_alike(failing: Sequence[Measurement]) -> bool:
    """Whether runs failed on allocations of one size at different batches: it may have nothing to
    do with the batch, as that of an evaluation. Runs that were ended at their peaks do not say."""
    refused = [m for m in failing if m.requested_bytes is not None]
    return (
        len({m.batch_size for m in refused}) > 1 and len({m.requested_bytes for m in refused}) == 1
    )


def is_of_any_size(failing: Sequence[Measurement]) -> bool:
    """Whether evaluations failed in the same way at batches far apart: then their own batch does
    not depend on the one that is searched."""
    batches = [m.batch_size for m in in_evaluation(failing)]
    return asks_alike(in_evaluation(failing)) and max(batches) >= FAR_APART * min(batches)


def is_out_of_reach(failing: Sequence[Measurement]) -> bool:
    """Whether two runs did not come to the evaluation in which a larger batch failed. With smaller
    batches it takes longer to come to it."""
    return sum(m.phase == UNSEEN for m in failing) > 1


def why_at_any_size(failing: Sequence[Measurement]) -> str:
    """What to do where the evaluation does not depend on the batch; empty elsewhere."""
    if not is_of_any_size(failing):
        return ""
    batches = sorted(m.batch_size for m in in_evaluation(failing))
    return (
        f" The evaluation failed in the same way at batches {batches[0]} and {batches[-1]}: it has "
        "its own batch size. Reduce that, or raise the memory budget."
    )


def evaluation_edge(passing: Sequence[Measurement], cap_bytes: int) -> float:
    """The batch at which the evaluation reaches the cap: a line through the last two peaks that an
    evaluation made, or through one and what is held between steps. Infinite where no evaluation
    took more than training, or where it takes the same at every batch."""
    made = [m for m in passing if m.purpose is Purpose.CONFIRM and "evaluate" in m.phase_peak_bytes]
    peaks = {
        m.batch_size: peak
        for m in made
        if (peak := m.phase_peak_bytes["evaluate"]) >= max(m.phase_peak_bytes.values())
    }
    if not peaks:
        return float("inf")
    (b1, y1), (b2, y2) = [(0, _held_bytes(made)), *sorted(peaks.items())][-2:]
    if y2 <= y1:
        return float("inf")
    return b2 + (cap_bytes - y2) * (b2 - b1) / (y2 - y1)


def _held_bytes(made: Sequence[Measurement]) -> int:
    return min(m.static_bytes or 0 for m in made)
