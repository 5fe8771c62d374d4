"""Does a larger batch reach the device at all? Told from what batches of other sizes take. Pure.

A command or workload may ignore the batch size; where samples are fewer than it says, its batches
are smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from probes.errors import InputError
from probes.formatting import size_text
from probes.measurement import Measurement, Purpose

CERTAIN_RATIO = 256
"""A batch this many times as large takes more memory or time, however small the samples are."""
SUSPICIOUS_RATIO = 8
GROWN_RATIO = 4
"""Where memory did grow with smaller batches, this multiple is certain too."""
FEW_SAMPLES = 16
"""No training data is as small as this."""
LEAST_BATCH_BYTES = 1024
"""Less may be what a batch is made from rather than the batch."""
SAME_BYTES = 4 * 2**20
"""Address space of the same command differs by some 2 MiB from run to run."""
SCATTER_BYTES = SAME_BYTES // 2
"""A growth below this may be one run's difference from another."""
CLEAR_BYTES = 4 * SAME_BYTES
SAME_TIME = 2.0
SHORTEST_STEP_S = 1e-6
"""Lines that are read at once show no time between them; a step took at least this."""


def same_as_smaller(
    measurement: Measurement, others: Sequence[Measurement], shown: str
) -> Measurement:
    """The measurement, with a note where a batch of another size took the same memory and time.

    Raises ``InputError`` where the sizes are so far apart that the command must be ignoring them.
    """
    for other in others:
        small, large = sorted((measurement, other), key=lambda m: m.batch_size)
        ratio = large.batch_size / small.batch_size
        if ratio < SUSPICIOUS_RATIO or not _is_same(small, large):
            continue
        words = _same_words(small, large)
        if ratio >= CERTAIN_RATIO:
            raise InputError(
                f"The command does not use {{batch_size}}: {words}.\nCommand: {shown}\nDoes the "
                "program read this option, or does a configuration file win over it? If its data "
                f"has fewer than {large.batch_size} samples, say how many: --option dataset_size=N."
            )
        note = f"{words}: does the command use {{batch_size}}?"
        return replace(measurement, notes=[*measurement.notes, note])
    return measurement


def without_size(
    measurement: Measurement, batch_bytes: int, others: Sequence[tuple[Measurement, int]]
) -> Measurement:
    """The measurement of a workload, with a note where a batch of another size held tensors of the
    same size, in bytes, and took the same memory. ``others`` are those of the config.

    Raises ``InputError`` where one of the two is so small that no data ends there.
    """
    for other, other_bytes in others:
        small, large = sorted((measurement, other), key=lambda m: m.batch_size)
        if batch_bytes != other_bytes or large.batch_size < GROWN_RATIO * small.batch_size:
            continue
        if batch_bytes < LEAST_BATCH_BYTES or not _is_same_memory(small, large):
            continue
        words = (
            f"batches of {small.batch_size} and {large.batch_size} held tensors of the same "
            f"size ({size_text(batch_bytes)})"
        )
        if small.batch_size <= FEW_SAMPLES:
            raise InputError(
                f"The workload does not use batch_size: {words}, and a step took the same "
                "memory. Let each batch that `batches(config, batch_size)` yields hold "
                "batch_size samples."
            )
        note = (
            f"{words}: does the workload use batch_size? If its data has fewer samples, give it a "
            "`dataset_size`."
        )
        return replace(measurement, notes=[*measurement.notes, note])
    return measurement


@dataclass(frozen=True)
class AllSamples:
    """Batches beyond a size take no more memory, because there are no more samples."""

    low: int
    """A batch of this size takes less."""
    high: int
    """A batch of this size takes as much as larger ones."""
    likely: int
    """Where memory would stop to grow, by its growth up to ``low``; ``high`` where that is
    unknown."""
    words: str


def all_samples(
    measurement: Measurement, others: Sequence[Measurement], failed: Sequence[Measurement] = ()
) -> AllSamples | None:
    """What this measurement and those of other sizes tell about the number of samples: memory grew
    with smaller batches, and does not any more. ``None`` where they tell nothing. ``failed``: runs
    of the same command that did not pass, but may have taken more memory."""
    for other in others:
        small, large = sorted((measurement, other), key=lambda m: m.batch_size)
        if large.batch_size < GROWN_RATIO * small.batch_size or not _is_same(small, large):
            continue
        if small.purpose is Purpose.CONFIRM and large.purpose is Purpose.BRACKET:
            continue  # a long run has met longer samples than a short one
        if any(m.batch_size > small.batch_size and _is_larger(m, small) for m in failed):
            continue
        less = [m for m in others if _should_have_grown(m, small, large)]
        if not less:
            continue
        below = sorted(less, key=lambda m: m.batch_size)
        low, high = below[-1], small
        words = f"{_same_words(small, large)}, and one of {low.batch_size} took less"
        return AllSamples(low.batch_size, high.batch_size, _end_of_growth(below, small), words)
    return None


def _end_of_growth(below: Sequence[Measurement], flat: Measurement) -> int:
    """The batch at which a line through the last two smaller ones comes to the memory that larger
    ones take."""
    if len(below) < 2:
        return flat.batch_size
    first, last = below[-2:]
    grown = (last.peak_bytes or 0) - (first.peak_bytes or 0)
    if grown < SAME_BYTES:
        return flat.batch_size
    per_sample = grown / (last.batch_size - first.batch_size)
    more = ((flat.peak_bytes or 0) - (last.peak_bytes or 0)) / per_sample
    return min(flat.batch_size, last.batch_size + max(1, round(more)))


def _same_words(small: Measurement, large: Measurement) -> str:
    assert small.step_time is not None and large.step_time is not None
    return (
        f"batches of {small.batch_size} and {large.batch_size} took the same memory "
        f"({size_text(small.peak_bytes or 0)} and {size_text(large.peak_bytes or 0)}) and similar "
        f"time ({small.step_time.mean_s:.3g} and {large.step_time.mean_s:.3g} s per step)"
    )


def _is_same(small: Measurement, large: Measurement) -> bool:
    if None in (small.peak_bytes, large.peak_bytes, small.step_time, large.step_time):
        return False
    assert small.step_time is not None and large.step_time is not None
    least_s = max(small.step_time.mean_s, SHORTEST_STEP_S)
    is_as_fast = large.step_time.mean_s < SAME_TIME * least_s
    return is_as_fast and _is_same_memory(small, large)


def _is_larger(one: Measurement, other: Measurement) -> bool:
    return (one.peak_bytes or 0) - (other.peak_bytes or 0) > CLEAR_BYTES


def _is_same_memory(small: Measurement, large: Measurement) -> bool:
    return (large.peak_bytes or 0) - (small.peak_bytes or 0) < SAME_BYTES


def _should_have_grown(less: Measurement, small: Measurement, large: Measurement) -> bool:
    """Whether memory grew from a still smaller batch so fast that ``large`` would have shown it."""
    if less.batch_size >= small.batch_size or not less.peak_bytes or not small.peak_bytes:
        return False
    grown = small.peak_bytes - less.peak_bytes
    per_sample = grown / (small.batch_size - less.batch_size)
    further = per_sample * (large.batch_size - small.batch_size)
    return grown >= SCATTER_BYTES and further > CLEAR_BYTES
