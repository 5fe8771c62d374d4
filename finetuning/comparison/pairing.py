"""Two models' rows put side by side, item by item, and summed within groups.

Everything that is resampled later is a whole group: the moves of one game are not independent, so
they stay together. The sums per group are all that a weighted mean, its exponential, their
permutations and their bootstrap need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetuning.evaluation.metrics import Metric
from finetuning.evaluation.rows import EvaluationRow
from probes.errors import InputError
from probes.formatting import plural

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GroupSums:
    """Per group, the sum of weight x value and the sum of weights. Shapes ``[groups]``.

    ``exponential``: the figure is ``exp`` of the weighted mean.
    """

    weighted: Floats
    weight: Floats
    exponential: bool = False

    def figure(self) -> float:
        """The metric over all groups; NaN without groups."""
        return float(figure_of(self.weighted.sum(), self.weight.sum(), self.exponential))

    def means(self) -> Floats:
        """The weighted mean of each group, before any exponential. Shape ``[groups]``."""
        return np.asarray(self.weighted / self.weight, dtype=np.float64)


@dataclass(frozen=True)
class PairedSums:
    """Both models on the same groups, in the same order."""

    groups: tuple[str, ...]
    baseline: GroupSums
    model: GroupSums
    items: int = 0
    identical: bool = False
    """Whether both models have the same value and weight on every item."""
    unpaired: int = 0
    """Items that only one of the models has."""
    unusable: int = 0
    """Items without a finite value, or without a weight of at least zero, under either model."""

    def difference(self) -> float:
        """The model's figure minus the baseline's; NaN where there is none."""
        return self.model.figure() - self.baseline.figure()


def figure_of(weighted: Any, weight: Any, exponential: bool) -> Floats:
    """The (exponential of the) weighted mean from sums of any one shape."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        mean = np.asarray(weighted, dtype=np.float64) / weight
        return np.asarray(np.exp(mean) if exponential else mean)


def by_item(rows: Sequence[EvaluationRow], owner: str) -> dict[str, EvaluationRow]:
    """Rows by the name of their item. A row that is there twice counts once.

    Raises ``InputError`` where one item has two different rows.
    """
    found: dict[str, EvaluationRow] = {}
    for row in rows:
        before = found.setdefault(row.item, row)
        if (before.group, before.source) != (row.group, row.source) or not _same_values(
            before.values, row.values
        ):
            raise InputError(
                f"{owner}: item {row.item!r} of task {row.task!r} has two different rows. Remove "
                f"its evaluation/{row.task} folder and evaluate the run again."
            )
    return found


def pair(
    baseline: Mapping[str, EvaluationRow], model: Mapping[str, EvaluationRow], metric: Metric
) -> PairedSums:
    """The items that both models have, summed within groups, in the order of the baseline.

    An item that lacks the metric's column under one model only is unpaired; one that lacks it under
    both does not count. Raises ``InputError`` where an item is in another group or source.
    """
    sums: dict[str, list[float]] = {}
    items = unpaired = unusable = 0
    identical = True
    names = [*baseline, *(name for name in model if name not in baseline)]
    for name in names:
        ours, theirs = baseline.get(name), model.get(name)
        if ours is not None and theirs is not None:
            _check_same_place(ours, theirs)
        numbers = [_numbers(row, metric) for row in (ours, theirs)]
        if numbers[0] is None or numbers[1] is None:
            unpaired += numbers != [None, None]
            continue
        (a, w), (b, v) = numbers[0], numbers[1]
        if not (all(map(math.isfinite, (a, w, b, v))) and w >= 0 and v >= 0):
            unusable += 1
            continue
        assert ours is not None
        items += 1
        identical = identical and (a, w) == (b, v)
        group = sums.setdefault(ours.group, [0.0, 0.0, 0.0, 0.0])
        for place, amount in enumerate((w * a, w, v * b, v)):
            group[place] += amount
    kept = {name: four for name, four in sums.items() if four[1] > 0 and four[3] > 0}
    table = np.array(list(kept.values()), dtype=np.float64).reshape(-1, 4)
    return PairedSums(
        groups=tuple(kept),
        baseline=GroupSums(table[:, 0], table[:, 1], metric.exponential),
        model=GroupSums(table[:, 2], table[:, 3], metric.exponential),
        items=items,
        identical=identical and items > 0,
        unpaired=unpaired,
        unusable=unusable,
    )


def sums_of(rows: Mapping[str, EvaluationRow], metric: Metric) -> tuple[GroupSums, int]:
    """One model's usable rows, summed within groups; and how many items they are."""
    sums: dict[str, list[float]] = {}
    items = 0
    for row in rows.values():
        numbers = _numbers(row, metric)
        if numbers is None or not all(map(math.isfinite, numbers)) or numbers[1] < 0:
            continue
        items += 1
        group = sums.setdefault(row.group, [0.0, 0.0])
        group[0] += numbers[0] * numbers[1]
        group[1] += numbers[1]
    table = np.array([two for two in sums.values() if two[1] > 0]).reshape(-1, 2)
    return GroupSums(table[:, 0], table[:, 1], metric.exponential), items


def left_out(sums: PairedSums) -> str:
    """What was left out of a pairing, as a sentence without its subject; empty if nothing was."""
    said = []
    if sums.unpaired:
        said.append(f"{plural(sums.unpaired, 'item')} that only one of the models has")
    if sums.unusable:
        said.append(f"{plural(sums.unusable, 'item')} without a finite value and weight")
    return " and ".join(said)


def _numbers(row: EvaluationRow | None, metric: Metric) -> tuple[float, float] | None:
    """Value and weight; none where the row has no such column."""
    if row is None or metric.column not in row.values:
        return None
    weight = row.values.get(metric.weight, math.nan) if metric.weight else 1.0
    value = row.values[metric.column]
    return (math.nan if value is None else value, math.nan if weight is None else weight)


def _check_same_place(ours: EvaluationRow, theirs: EvaluationRow) -> None:
    for what in ("group", "source"):
        a, b = getattr(ours, what), getattr(theirs, what)
        if a != b:
            raise InputError(
                f"Item {ours.item!r} of task {ours.task!r} has {what} {a!r} in one run and {b!r} "
                "in the other: they were not evaluated on the same items. Evaluate both with the "
                "same test data and options."
            )


def _same_values(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Equal, where NaN equals NaN."""
    return a.keys() == b.keys() and all(
        a[name] == b[name] or (a[name] != a[name] and b[name] != b[name]) for name in a
    )
