"""A workload from a trainer of TRL, such as ``SFTTrainer``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from probes.adapters.data import LoaderData, WorstCase
from probes.adapters.trainer import TrainerWorkload


def from_trl(
    make: Callable[[dict[str, Any]], Any],
    space: Mapping[str, Any],
    *,
    worst_case: WorstCase = None,
    evaluate: bool = True,
    data_files: Sequence[str | Path] = (),
) -> TRLWorkload:
    """The workload that trains as ``make(config)`` would, an ``SFTTrainer`` or another of TRL's
    trainers whose data set is tokenised (``input_ids``).

    As ``from_trainer``; in addition, all rows are looked at, so that the first batch really holds
    the longest ones. Arguments are those of ``from_trainer``.

    Example::

        workload = from_trl(
            lambda config: SFTTrainer(model=net(config), args=arguments, train_dataset=rows),
            space={"layers": [2, 4, 8]},
        )
    """
    return TRLWorkload(make, space, worst_case=worst_case, evaluate=evaluate, data_files=data_files)


class TRLWorkload(TrainerWorkload):
    """See ``from_trl``."""

    def data(self, built: Any) -> LoaderData:
        if self.worst_case is None and "input_ids" in (built.train_dataset.column_names or []):
            return self.data_with(built, longest_first(built.train_dataset))
        return super().data(built)


def longest_first(dataset: Any) -> list[int]:
    """Indices of a tokenised data set, the rows with most tokens first."""
    lengths = [len(ids) for ids in dataset["input_ids"]]
    return sorted(range(len(lengths)), key=lambda index: -lengths[index])
