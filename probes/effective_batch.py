"""A target number of samples per optimizer step, whatever the micro-batch.

``ceil(effective / micro)`` micro-batches make a step, so it never has fewer samples than stated. It
has more where they do not divide, by less than one sample per micro-batch for a *useful* size: the
smallest that needs no more of them. (Of 64 samples, 63 at once would make steps of 126, and 32
exactly 64.) Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

from collections.abc import Iterable

from probes.errors import InputError


def check(effective: int | None, names: Iterable[str]) -> None:
    """Raise ``InputError`` where a config or space with these names says something else."""
    if effective is not None and "accumulation" in names:
        raise InputError(
            "An effective batch size decides the accumulation: leave `accumulation` out of the "
            "config (--set, --levers, space()), or leave --effective-batch-size out."
        )


def accumulation(effective: int, micro_batch: int) -> int:
    """Micro-batches per optimizer step."""
    return -(-effective // micro_batch)


def useful(effective: int, micro_batch: int) -> int:
    """The largest useful size up to ``micro_batch``; its steps have the fewest samples possible
    with as many micro-batches."""
    return -(-effective // accumulation(effective, micro_batch))


def next_useful(effective: int, micro_batch: int) -> int | None:
    """The smallest useful size above; ``None`` where one micro-batch makes the step."""
    fewer = accumulation(effective, micro_batch) - 1
    return -(-effective // fewer) if fewer else None
