"""How many samples a command trains on, as far as its output and its memory tell. Pure.

Three things tell it: the steps of an epoch at batches of two sizes, memory that grows no more with
the batch, and a length that the program prints before it trains. The last one proves nothing by
itself (it may be that of another data set), but where it agrees with one of the others, it is
exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from probes.black_box.discovery.choice import shortened
from probes.black_box.discovery.counter import EpochSteps
from probes.black_box.discovery.lengths import PrintedLengths
from probes.black_box.epoch_size import LEAST_STEPS, epoch_size
from probes.ignored import AllSamples

SLACK = 0.1
"""A printed length may lie this far outside of what memory tells, relative."""


@dataclass(frozen=True)
class DataSize:
    """Samples per epoch of one rank."""

    samples: int
    source: str
    """What tells it, in one sentence."""


def counted_size(epochs: Mapping[int, EpochSteps], lengths: PrintedLengths) -> DataSize | None:
    """From the steps of an epoch by batch size. One batch size is enough where a printed length
    gives exactly that number of steps."""
    size = epoch_size(epochs)
    if size is not None:
        printed = lengths.within(size.low, size.high)
        if printed is not None:
            return DataSize(printed.samples, _printed(printed.samples, printed.line))
        words = f"By its own count, an epoch has about {size.low} samples."
        return DataSize(size.low, words)
    for batch_size, steps in epochs.items():
        if batch_size > 1 and steps.least == steps.most >= LEAST_STEPS:
            low, high = (steps.least - 1) * batch_size + 1, (steps.least + 1) * batch_size - 1
            printed = lengths.within(low, high)
            if printed is not None and printed.is_training:
                return DataSize(printed.samples, _printed(printed.samples, printed.line))
    return None


def seen_size(
    found: AllSamples, epochs: Mapping[int, EpochSteps], lengths: PrintedLengths
) -> DataSize | None:
    """From memory that grows no more with the batch; ``None`` where an epoch has several steps of
    such a batch, so that something else must be the reason."""
    if any(steps.least > 1 for batch, steps in epochs.items() if batch >= found.high):
        return None
    high = round((1 + SLACK) * found.high)
    printed = lengths.within(found.low + 1, high)
    if printed is not None:
        return DataSize(printed.samples, _printed(printed.samples, printed.line))
    about = "about" if found.likely < found.high else "no more than"
    samples = found.likely
    return DataSize(
        samples,
        f"The data set seems to have {about} {samples} samples: {found.words}. If it has more, "
        "say how many: --option dataset_size=N.",
    )


def _printed(samples: int, line: str) -> str:
    return f"An epoch has {samples} samples, as the output says: `{shortened(line)}`."
