"""Endless batches of any size out of a ``DataLoader``, the worst case first.

From the loader come the data set, how samples are put together, and how many processes load them.
How many and which samples make a batch is decided here: sizes are what is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader

from probes.adapters.worst_case import Largest, largest
from probes.errors import InputError

STREAM_SAMPLES = 512
"""Samples kept and drawn from where a data set can only be read from its beginning."""

WorstCase = Callable[[Any], float] | Sequence[int] | None
"""How large a sample is, or the indices of samples that are to be in the first batch."""


class LoaderData:
    """The data of one ``DataLoader``. Raises ``InputError`` for one that makes batches in a way
    of its own."""

    def __init__(self, loader: Any, worst_case: WorstCase = None) -> None:
        if not isinstance(loader, DataLoader):
            raise InputError(
                f"The training data is a {type(loader).__name__}; it must be one torch DataLoader, "
                "whose data set and collate_fn Tonnage takes to make batches of any size."
            )
        own = loader.batch_sampler is not None and not _is_plain(loader.batch_sampler)
        if own or (loader.batch_sampler is None and loader.batch_size is None):
            what = type(loader.batch_sampler).__name__ if own else "no batching at all"
            raise InputError(
                f"The DataLoader makes its batches by itself ({what}), so their size cannot be "
                "searched. Give one with batch_size=… instead, or write the workload's batches()."
            )
        self.loader = loader
        self.worst_case = worst_case
        dataset = loader.dataset
        self.is_stream = not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"))
        self.dataset: Any = dataset
        self._largest: Largest | None = None

    @property
    def size(self) -> int | None:
        """Number of samples; ``None`` for a stream."""
        return None if self.is_stream else len(self.dataset)

    @property
    def notes(self) -> list[str]:
        """How the worst case was found."""
        if isinstance(self.worst_case, Sequence):
            return [f"The first batch holds the samples given as worst_case ({self._given()})."]
        if self.is_stream:
            return [
                f"The data can only be read from its beginning: batches are drawn from its first "
                f"{STREAM_SAMPLES} samples, or as many as a batch has. " + self._found().note
            ]
        return [self._found().note]

    def batches(self, batch_size: int) -> Iterator[Any]:
        """Endless CPU batches. The first has the largest samples; the others are drawn at random,
        each sample once before any comes twice."""
        if self.is_stream:
            self._keep(max(STREAM_SAMPLES, batch_size))
        count = len(self.dataset)
        if count == 0:
            raise InputError("The training data set is empty.")
        loader = self.loader
        workers: dict[str, Any] = {}
        if loader.num_workers and not self.is_stream:
            workers = {
                "num_workers": loader.num_workers,
                "prefetch_factor": loader.prefetch_factor,
                "worker_init_fn": loader.worker_init_fn,
                "multiprocessing_context": loader.multiprocessing_context,
            }
        return iter(
            DataLoader(
                self.dataset,
                batch_sampler=_Endless(self._first(count, batch_size), count),
                collate_fn=loader.collate_fn,
                **workers,
            )
        )

    def _first(self, count: int, batch_size: int) -> list[int]:
        """Indices of the first batch."""
        ahead = (
            list(self.worst_case)
            if isinstance(self.worst_case, Sequence)
            else self._found().indices
        )
        wanted = ahead[:batch_size]
        if len(wanted) < batch_size:
            known = set(ahead)
            others = (index for index in range(count) if index not in known)
            wanted += islice(others, batch_size - len(wanted))
        # Beyond the whole data set samples come again, the largest first.
        return [wanted[k % len(wanted)] for k in range(batch_size)]

    def _found(self) -> Largest:
        if self._largest is None:
            if self.is_stream:
                self._keep(STREAM_SAMPLES)
            size = self.worst_case if callable(self.worst_case) else None
            self._largest = largest(self.dataset, len(self.dataset), size)
        return self._largest

    def _given(self) -> str:
        assert isinstance(self.worst_case, Sequence)
        return ", ".join(str(index) for index in self.worst_case[:5])

    def _keep(self, count: int) -> None:
        """Read the beginning of a stream."""
        if isinstance(self.dataset, list) and len(self.dataset) >= count:
            return
        self.dataset = list(islice(iter(self.loader.dataset), count))
        self._largest = None


class _Endless:
    """A batch sampler: the given first batch, then every sample in random order, for ever."""

    def __init__(self, first: list[int], count: int) -> None:
        self.first = first
        self.count = count

    def __iter__(self) -> Iterator[list[int]]:
        yield self.first
        generator = torch.Generator().manual_seed(0)
        pending: list[int] = []
        while True:
            while len(pending) < len(self.first):
                pending += torch.randperm(self.count, generator=generator).tolist()
            yield pending[: len(self.first)]
            del pending[: len(self.first)]


def _is_plain(sampler: Any) -> bool:
    """Whether batches are so many samples, one after the other as a sampler says. accelerate wraps
    such a one, and says so in its class's name only."""
    inner = getattr(sampler, "batch_sampler", sampler)
    return type(inner) is BatchSampler
