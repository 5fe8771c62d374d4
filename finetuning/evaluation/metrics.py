"""What a metric is: how it is computed from rows, and which direction is better.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from finetuning.evaluation.rows import EvaluationRow


class Direction(str, Enum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Metric:
    """A figure of a set of rows: the (weighted) mean of one column, or its exponential.

    Perplexity, for example, is ``exp`` of the mean of ``nll_per_token`` weighted by ``tokens``:
    every token counts once, however long its row is.
    """

    name: str
    column: str
    direction: Direction
    about: str
    unit: str = ""
    weight: str | None = None
    """Column of weights; none: every row counts once."""
    exponential: bool = False

    def of(self, rows: Sequence[EvaluationRow]) -> float | None:
        """The figure of those rows that have the column; none where no row has."""
        having = [row.values for row in rows if self.column in row.values]
        weights = [values.get(self.weight, 0.0) if self.weight else 1.0 for values in having]
        total = sum(weights)
        if not total:
            return None
        mean = sum(w * values[self.column] for w, values in zip(weights, having)) / total
        return math.exp(mean) if self.exponential else mean
