"""A workload from a trainer of TRL, such as ``SFTTrainer``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from probes.adapters.data import LoaderData, WorstCase
from probes.adapters.trainer import TrainerWorkload

TOKENS, PROMPT = "input_ids", "prompt_ids"
ROWS_AT_ONCE = 10_000


def from_trl(
    make: Callable[[dict[str, Any]], Any],
    space: Mapping[str, Any],
    *,
    worst_case: WorstCase = None,
    evaluate: bool = True,
    data_files: Sequence[str | Path] = (),
) -> TRLWorkload:
    """The workload that trains as ``make(config)`` would: an ``SFTTrainer``, a ``DPOTrainer``, a
    ``RewardTrainer``, or another of TRL's trainers whose data set is tokenised.

    As ``from_trainer``; in addition, all rows are looked at, so that the first batch really holds
    the longest ones. Of a trainer that tokenises as it goes, as many rows are looked at as
    ``from_trainer`` does. Arguments are those of ``from_trainer``.

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
        if self.worst_case is None and token_columns(built.train_dataset):
            return self.data_with(built, longest_first(built.train_dataset))
        return super().data(built)


def token_columns(dataset: Any) -> list[str]:
    """The columns of a map-style data set that hold the tokens of its rows: ``input_ids``, or those
    of prompts and answers (``prompt_ids``, ``chosen_ids``, ``rejected_ids``); empty without any."""
    features = getattr(dataset, "features", None) or {}
    if not hasattr(dataset, "with_format") or not hasattr(dataset, "__len__"):
        return []
    lists = [name for name, kind in features.items() if hasattr(kind, "feature")]
    return [TOKENS] if TOKENS in lists else [name for name in lists if name.endswith("_ids")]


def longest_first(dataset: Any) -> list[int]:
    """Indices of a tokenised data set, the longest rows first.

    A row of preferences is a prompt with each of its answers, all padded to the longest: it is as
    long as its prompt and the longer answer.
    """
    lengths: list[int] = []
    columns = token_columns(dataset)
    tokens = dataset.select_columns(columns).with_format("arrow")
    for begin in range(0, len(dataset), ROWS_AT_ONCE):
        table = tokens[begin : begin + ROWS_AT_ONCE]
        found = {name: _lengths(table[name]) for name in columns}
        prompts = found.pop(PROMPT, None) if len(found) > 1 else None
        longest = [max(row) for row in zip(*found.values(), strict=True)]
        lengths += longest if prompts is None else map(sum, zip(prompts, longest, strict=True))
    return sorted(range(len(lengths)), key=lambda index: -lengths[index])


def _lengths(column: Any) -> list[int]:
    """Elements of each list of an arrow column."""
    from pyarrow.compute import list_value_length

    return [length or 0 for length in list_value_length(column).to_pylist()]
