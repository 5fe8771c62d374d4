"""Divides the groups of every source into training, evaluation and test rows.

A group (a game, a conversation) is never divided, so that no row of it is held out while its
neighbours train. Shares are shares of the groups, drawn with the seed, for each source apart.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from finetuning.data.row_store import SourceIndex
from finetuning.settings.model import DataSettings
from probes.errors import InputError
from probes.formatting import plural

TRAIN, EVAL, TEST = SPLITS = ("train", "eval", "test")


@dataclass
class Split:
    """Positions of rows, for each split and source; and what was left out of them."""

    rows: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """``rows["train"]["bfs"]``: positions in the index of the source ``bfs``."""
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many groups went where."""
    leaked: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """``leaked["train"]``: (source, position) of rows whose prompt is held out elsewhere."""
    notes: list[str] = field(default_factory=list)

    def count(self, name: str) -> int:
        """Rows of a split, over all sources."""
        return sum(map(len, self.rows[name].values()))


def split(
    indexes: Sequence[SourceIndex],
    kept: Mapping[str, Sequence[int]],
    settings: DataSettings,
    seed: int,
) -> Split:
    """Divide the ``kept`` positions of every source.

    A prompt that is in the test rows is taken out of the other two splits, and one that is in the
    evaluation rows out of the training rows: two games may meet in one position. Prompts that
    differ only in case and white space count as the same.

    Raises ``InputError`` where the shares leave nothing to train on, or where no source has enough
    groups for a split that was asked for.
    """
    shares = {EVAL: settings.eval_share, TEST: settings.test_share}
    if sum(shares.values()) >= 1:
        raise InputError(
            f"data.eval_share={shares[EVAL]:g} and data.test_share={shares[TEST]:g} leave nothing "
            "to train on. Lower one of them."
        )
    result = Split({one: {} for one in SPLITS}, {one: {} for one in SPLITS}, {TRAIN: [], EVAL: []})
    for index in indexes:
        _divide(index, kept[index.name], shares, seed, result)
    _take_out_leaks(indexes, result)
    _refuse_empty(indexes, kept, shares, result)
    return result


def sizes(groups: int, shares: Mapping[str, float]) -> dict[str, int]:
    """How many of a source's groups are held out for each share.

    The nearest whole number, at least one for a share above zero. All are zero where that would
    leave no group to train on.
    """
    held = {
        name: max(1, round(groups * share)) if share > 0 else 0 for name, share in shares.items()
    }
    while sum(held.values()) >= groups:
        largest = max(held, key=lambda name: held[name])
        if held[largest] <= 1:
            return dict.fromkeys(shares, 0)
        held[largest] -= 1
    return held


def _divide(
    index: SourceIndex,
    kept: Sequence[int],
    shares: Mapping[str, float],
    seed: int,
    result: Split,
) -> None:
    members: dict[int, list[int]] = {}
    for position in kept:
        members.setdefault(index.group_of[position], []).append(position)
    order = list(members)
    random.Random(f"split/{seed}/{index.name}").shuffle(order)
    held = sizes(len(order), shares)
    if any(shares.values()) and not any(held.values()):
        result.notes.append(
            f"The source {index.name} has {plural(len(order), 'group')}, too few to hold any out: "
            "all of its rows are used for training, so how well it is learned cannot be measured."
        )
    begin = 0
    for name, count in ((TEST, held[TEST]), (EVAL, held[EVAL]), (TRAIN, len(order))):
        chosen = order[begin : begin + count]
        begin += count
        result.rows[name][index.name] = sorted(row for group in chosen for row in members[group])
        result.groups[name][index.name] = len(chosen)


def _take_out_leaks(indexes: Sequence[SourceIndex], result: Split) -> None:
    held: set[int] = set()
    for name, below in ((TEST, EVAL), (EVAL, TRAIN)):
        for index in indexes:
            held.update(index.prompts[position] for position in result.rows[name][index.name])
        for index in indexes:
            rows = result.rows[below][index.name]
            leaked = [position for position in rows if index.prompts[position] in held]
            if leaked:
                result.leaked[below] += [(index.name, position) for position in leaked]
                result.rows[below][index.name] = [
                    position for position in rows if index.prompts[position] not in held
                ]


def _refuse_empty(
    indexes: Sequence[SourceIndex],
    kept: Mapping[str, Sequence[int]],
    shares: Mapping[str, float],
    result: Split,
) -> None:
    empty = [name for name in SPLITS if not result.count(name) and shares.get(name, 1)]
    for name in empty:
        if sum(result.groups[name].values()):
            raise InputError(
                f"Every prompt of the {name} rows is held out elsewhere too: the sources repeat "
                "the same prompts. Give rows with other prompts, or lower the shares held out."
            )
        groups = {index.name: _groups(index, kept[index.name]) for index in indexes}
        listed = ", ".join(f"{one}: {plural(count, 'group')}" for one, count in groups.items())
        shared = [one for one in empty if one in shares]
        unset = " and ".join(f"data.{one}_share=0" for one in shared)
        raise InputError(
            f"No source has enough groups for the {' and '.join(empty)} rows ({listed}). A group "
            "is never divided: give at least 3" + (f", or set {unset}." if shared else ".")
        )


def _groups(index: SourceIndex, kept: Sequence[int]) -> int:
    return len({index.group_of[position] for position in kept})
