"""The samples of a data set that need the most memory, found by looking at them.

The size of a sample is the number of elements in it: of a text its tokens, of an image its values,
of a graph everything that its tensors hold. A batch of the largest samples is the worst case both
where a batch is padded to its longest sample and where samples are put one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

FIRST_LOOK = 64
"""Samples that tell whether sizes differ at all."""
MOST_LOOKED_AT = 4096
"""Samples that are looked at where sizes differ or looking is quick. Every probe looks again, in
its own process."""
QUICK_S = 0.02
"""For the first look. 4096 images that have to be decoded would take half a minute."""


@dataclass(frozen=True)
class Largest:
    """What was found."""

    indices: list[int]
    """Indices of the samples looked at, the largest first; equal ones in the order of the data."""
    size: float
    """Size of the largest."""
    note: str
    """What was looked at, and what follows, as a sentence."""


def largest(dataset: Any, count: int, size: Callable[[Any], float] | None = None) -> Largest:
    """Look at samples ``0 … count - 1`` of ``dataset``: at some that are spread evenly over it, and
    where their sizes differ or that was quick at up to ``MOST_LOOKED_AT`` of them."""
    measure = elements if size is None else size
    began_s = time.perf_counter()
    sizes = {index: measure(dataset[index]) for index in spread(count, FIRST_LOOK)}
    quick = time.perf_counter() - began_s < QUICK_S
    if quick or len(set(sizes.values())) > 1:
        for index in spread(count, MOST_LOOKED_AT):
            if index not in sizes:
                sizes[index] = measure(dataset[index])
    ordered = sorted(sizes, key=lambda index: (-sizes[index], index))
    most = sizes[ordered[0]]
    differ = len(set(sizes.values())) > 1
    return Largest(ordered, most, _note(len(sizes), count, most, differ, size is not None))


def spread(count: int, most: int) -> list[int]:
    """Up to ``most`` indices below ``count``, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})


def elements(sample: Any) -> float:
    """Numbers, characters and pixels in a sample, whatever it is made of."""
    numel = getattr(sample, "numel", None)
    if callable(numel):
        return float(numel())
    if isinstance(sample, (str, bytes)):
        return float(len(sample))
    size = getattr(sample, "size", None)
    if isinstance(size, int):  # numpy
        return float(size)
    if isinstance(size, tuple) and len(size) == 2:  # an image of PIL: width, height
        return float(size[0] * size[1])
    if isinstance(sample, Mapping):
        return sum(elements(value) for value in sample.values())
    if isinstance(sample, Sequence):
        if sample and isinstance(sample[0], (int, float)):
            return float(len(sample))
        return sum(elements(item) for item in sample)
    if is_dataclass(sample) and not isinstance(sample, type):
        return sum(elements(getattr(sample, field.name)) for field in fields(sample))
    if callable(getattr(sample, "keys", None)):  # a graph of PyTorch Geometric
        return sum(elements(sample[key]) for key in sample.keys())  # noqa: SIM118
    return 1.0


def _note(looked_at: int, count: int, most: float, differ: bool, own: bool) -> str:
    what = "size" if own else "elements"
    amount = f"{what} {most:g}" if own else f"{most:g} {what}"
    if looked_at == count:
        kind = "the largest of all" if differ else "as all are, of"
        return f"The worst case is a batch of the largest samples ({kind} {count:,}: {amount})."
    if not differ:
        return (
            f"{looked_at:,} of {count:,} samples were looked at, all of one size ({amount}): any "
            "batch is the worst case. If some are larger, say so with worst_case=."
        )
    return (
        f"The worst case is a batch of the largest of {looked_at:,} samples, evenly spread over "
        f"{count:,} ({amount}). If a larger one may be among the others, give its index with "
        "worst_case=."
    )
