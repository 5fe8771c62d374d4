"""Does a larger batch reach the device at all? Told from what batches of other sizes take. Pure.

A command may ignore the batch size; where samples are fewer than it says, its batches are smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from probes.errors import InputError
from probes.formatting import size_text
from probes.measurement import Measurement

CERTAIN_RATIO = 256
"""A batch this many times as large takes more memory or time, however small the samples are."""
SUSPICIOUS_RATIO = 8
GROWN_RATIO = 4
"""Where memory did grow with smaller batches, this multiple is certain too."""
SAME_BYTES = 4 * 2**20
"""Address space of the same command differs by some 2 MiB from run to run."""
CLEAR_BYTES = 4 * SAME_BYTES
SAME_TIME = 2.0
SHORTEST_STEP_S = 1e-6
"""Lines that are read at once show no time between them; a step took at least this."""


def same_as_smaller(
    measurement: Measurement, others: Sequence[Measurement], shown: str
) -> Measurement:
    """The measurement, with a note where a batch of another size took the same memory and time.

    Raises ``InputError`` where the sizes are so far apart that the command must be ignoring them,
    or its data set be smaller than they are.
    """
    for other in others:
        small, large = sorted((measurement, other), key=lambda m: m.batch_size)
        ratio = large.batch_size / small.batch_size
        if ratio < GROWN_RATIO or not _is_same(small, large):
            continue
        assert small.step_time is not None and large.step_time is not None
        words = (
            f"batches of {small.batch_size} and {large.batch_size} took the same memory "
            f"({size_text(small.peak_bytes or 0)} and {size_text(large.peak_bytes or 0)}) and time "
            f"({small.step_time.mean_s:.3g} and {large.step_time.mean_s:.3g} s per step)"
        )
        less = next((m for m in others if _should_have_grown(m, small, large)), None)
        if less is not None:
            raise InputError(
                f"The data set seems to have no more than {small.batch_size} samples: {words}, and "
                f"one of {less.batch_size} took less.\nCommand: {shown}\nSay how many it has, so "
                "that no larger batch is tried: --option dataset_size=N, or dataset_size in "
                "tonnage.toml."
            )
        if ratio >= CERTAIN_RATIO:
            raise InputError(
                f"The command does not use {{batch_size}}: {words}.\nCommand: {shown}\nDoes the "
                "program read this option, or does a configuration file win over it?"
            )
        if ratio >= SUSPICIOUS_RATIO:
            note = f"{words}: does the command use {{batch_size}}?"
            return replace(measurement, notes=[*measurement.notes, note])
    return measurement


def _is_same(small: Measurement, large: Measurement) -> bool:
    if None in (small.peak_bytes, large.peak_bytes, small.step_time, large.step_time):
        return False
    assert small.step_time is not None and large.step_time is not None
    grown = (large.peak_bytes or 0) - (small.peak_bytes or 0)
    least_s = max(small.step_time.mean_s, SHORTEST_STEP_S)
    return grown < SAME_BYTES and large.step_time.mean_s < SAME_TIME * least_s


def _should_have_grown(less: Measurement, small: Measurement, large: Measurement) -> bool:
    """Whether memory grew from a still smaller batch so fast that ``large`` would have shown it."""
    if less.batch_size >= small.batch_size or not less.peak_bytes or not small.peak_bytes:
        return False
    grown = (small.peak_bytes - less.peak_bytes) / (small.batch_size - less.batch_size)
    return grown * (large.batch_size - small.batch_size) > CLEAR_BYTES
