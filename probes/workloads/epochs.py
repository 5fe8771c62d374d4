"""The order of samples in training: shuffled epochs without end."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def every_sample(count: int, batch_size: int) -> tuple[Tensor, int]:
    """The indices of ``count`` samples as often as all of them fit into a batch, and how many more
    samples it then still takes."""
    copies, rest = divmod(batch_size, count)
    return torch.arange(count).repeat(copies), rest


def shuffled(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of one batch after another, endlessly: shuffled epochs without the last, partial
    batch. A batch larger than the data holds every sample equally often, plus a random draw without
    repetition to fill it."""
    everything, rest = every_sample(count, batch_size)
    while True:
        order = torch.randperm(count, generator=generator)
        if len(everything):
            yield torch.cat([everything, order[:rest]])
        else:
            for start in range(0, count - batch_size + 1, batch_size):
                yield order[start : start + batch_size]
