"""Batches that a training refuses although larger ones run.

Groups of generations, the minibatches of a rollout, pairs: there are scripts that raise for batch
25 where 24 and 32 train, scripts whose total batch must be divided by it, and models that do not
train on a single sample. Such a crash says nothing about the batches above it. Pure functions over
the measurements of one config. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from probes.max_batch.late_failure import is_early_crash
from probes.max_batch.result import MEMORY_VERDICTS
from probes.measurement import Measurement

LARGEST_UNIT = 256
"""Batches that must be multiples of more than this are not thought of."""


def is_refused(crash: Measurement, measurements: Sequence[Measurement]) -> bool:
    """Whether it crashed before its first step, where a larger batch trained or came as far as the
    memory cap: one that is no multiple of what trained, or smaller than all that trained."""
    if not is_early_crash(crash) or not any(
        m.batch_size > crash.batch_size and (m.passed or m.verdict in MEMORY_VERDICTS)
        for m in measurements
    ):
        return False
    trained = {m.batch_size for m in measurements if m.passed}
    smallest = min(trained, default=math.inf)
    if crash.batch_size < smallest or crash.batch_size % math.gcd(*trained) != 0:
        return True
    crashed = {m.batch_size for m in measurements if is_early_crash(m)}
    is_once = len(crashed) == 1  # which may be chance
    return not is_once and all(map(is_power, trained)) and not any(map(is_power, crashed))


def is_power(batch_size: int) -> bool:
    """Whether it is a power of two."""
    return batch_size & (batch_size - 1) == 0


def are_powers(measurements: Sequence[Measurement]) -> bool:
    """Whether only powers of two are taken: another multiple of what trained was refused."""
    common = math.gcd(*(m.batch_size for m in measurements if m.passed))
    return any(
        not is_power(m.batch_size) and m.batch_size % common == 0 and is_refused(m, measurements)
        for m in measurements
        if common
    )


def unit(measurements: Sequence[Measurement]) -> int:
    """What batches must be multiples of; 1 where nothing says so."""
    common = math.gcd(*(m.batch_size for m in measurements if m.passed))
    is_needed = any(
        m.batch_size > common and m.batch_size % common and is_refused(m, measurements)
        for m in measurements
        if common
    )
    return common if is_needed else 1


def multiple_to_try(measurements: Sequence[Measurement], lo: int, ceiling: int) -> int | None:
    """Another batch than the one that crashed before its first step, to learn whether that was the
    size: the next larger one with more factors in common with what trained. ``None`` where no batch
    crashed, or two did: then it is the size that they have in common."""
    crashed = {m.batch_size for m in measurements if is_early_crash(m)}
    trained = [m.batch_size for m in measurements if m.passed]
    if len(crashed) != 1 or not trained:
        return None
    (batch,) = crashed
    common = math.gcd(*trained)
    units = (n for n in range(2, LARGEST_UNIT + 1) if common % n == 0 and batch % n)
    if batch <= lo or not (found := max(units, default=0)):
        return None
    below = batch - batch % found
    tried = below + found if below + found <= ceiling else below
    known = {m.batch_size for m in measurements}
    return tried if tried > lo and tried not in known else None


def power_to_try(measurements: Sequence[Measurement], lo: int, ceiling: int) -> int | None:
    """A power of two, where several other batches crashed before their first step: a total number
    of samples may have to be divided by the batch. The largest one up to those that crashed, then
    the next one. ``None`` where something else than powers of two trained, or one of them crashed.
    """
    crashed = {m.batch_size for m in measurements if is_early_crash(m)}
    trained = {m.batch_size for m in measurements if m.passed}
    if len(crashed) < 2 or not trained or not all(map(is_power, trained)):
        return None
    if any(map(is_power, crashed)) or max(crashed) <= lo:
        return None
    below = 1 << (max(crashed).bit_length() - 1)
    known = {m.batch_size for m in measurements}
    tries = (each for each in (below, 2 * below) if lo < each <= ceiling and each not in known)
    return next(tries, None)


def why_refused(measurements: Sequence[Measurement]) -> str:
    """Which batches are refused, and what was tried instead; empty where none are."""
    refused = [m for m in measurements if is_refused(m, measurements)]
    if not refused:
        return ""
    example = max(refused, key=lambda m: m.batch_size)
    words = f" Batch {example.batch_size} failed for another reason: "
    further = f" Larger batches got further than batch {example.batch_size}, so only "
    if are_powers(measurements):
        words = f"{further}powers of two were tried after it: "
    elif (multiples_of := unit(measurements)) > 1:
        words = f"{further}multiples of {multiples_of} were tried after it: "
    return f"{words}{example.verdict}: {example.reason}"
