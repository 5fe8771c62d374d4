"""Figures made of rows: each with its interval, in all and per source, and the summary file.

The interval is at 95 %. For a share of single games (one 0 or 1 per group, no weights) it is
Wilson's; otherwise whole groups are resampled with replacement (percentile bootstrap), so that
the moves of one game count as one observation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetuning.evaluation.metrics import Metric
from finetuning.evaluation.rows import EvaluationRow

RESAMPLES = 2000
LEVEL = 0.95
_Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Figure:
    """A metric of a set of rows. ``n`` counts rows, ``groups`` what was resampled."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    groups: int
    direction: str
    unit: str
    about: str


def figures(metrics: Sequence[Metric], rows: Sequence[EvaluationRow]) -> dict[str, Figure]:
    """Every metric that at least one row has a value for."""
    made = {metric.name: figure(metric, rows) for metric in metrics}
    return {name: one for name, one in made.items() if one.value is not None}


def figure(metric: Metric, rows: Sequence[EvaluationRow], seed: int = 0) -> Figure:
    """One metric with its interval; without an interval where there are fewer than two groups."""
    having = [row for row in rows if metric.column in row.values]
    groups = {row.group for row in having}
    low, high = _interval(metric, having, len(groups), seed)
    return Figure(
        value=metric.of(having),
        low=low,
        high=high,
        n=len(having),
        groups=len(groups),
        direction=metric.direction.value,
        unit=metric.unit,
        about=metric.about,
    )


def by_source(
    metrics: Sequence[Metric], rows: Sequence[EvaluationRow]
) -> dict[str, dict[str, Figure]]:
    """The figures of each source, in the order of names."""
    sources = sorted({row.source for row in rows})
    return {
        source: figures(metrics, [row for row in rows if row.source == source])
        for source in sources
    }


def _interval(
    metric: Metric, rows: Sequence[EvaluationRow], groups: int, seed: int
) -> tuple[float | None, float | None]:
    if groups < 2:
        return None, None
    values = [row.values[metric.column] for row in rows]
    if groups == len(rows) and not metric.weight and set(values) <= {0.0, 1.0}:
        return wilson(sum(values), len(values))
    return _bootstrap(metric, rows, seed)


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share (Wilson 1927)."""
    share = successes / n
    centre = share + _Z**2 / (2 * n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _bootstrap(
    metric: Metric, rows: Sequence[EvaluationRow], seed: int
) -> tuple[float | None, float | None]:
    import numpy as np

    sums: dict[str, tuple[float, float]] = {}
    for row in rows:
        weight = row.values.get(metric.weight, 0.0) if metric.weight else 1.0
        total, weights = sums.get(row.group, (0.0, 0.0))
        sums[row.group] = (total + weight * row.values[metric.column], weights + weight)
    totals, weights = np.array(list(sums.values())).T
    counts = np.random.default_rng(seed).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES
    )
    weight_sums = counts @ weights
    kept = weight_sums > 0
    if not kept.any():
        return None, None
    means = (counts @ totals)[kept] / weight_sums[kept]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ends = (float(low), float(high))
    return (math.exp(ends[0]), math.exp(ends[1])) if metric.exponential else ends


# -- the summary ------------------------------------------------------------------------------


def summary(
    task: str,
    metrics: Sequence[Metric],
    rows: Sequence[EvaluationRow],
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Plain values for ``summary.json``: ``figures`` in all, ``sources`` each by itself.

    ``metrics`` is what a comparison needs to make the figures of other rows.
    """
    return {
        "task": task,
        "n": len(rows),
        "groups": len({row.group for row in rows}),
        "metrics": [{**asdict(one), "direction": one.direction.value} for one in metrics],
        "figures": {name: asdict(one) for name, one in figures(metrics, rows).items()},
        "sources": {
            source: {name: asdict(one) for name, one in found.items()}
            for source, found in by_source(metrics, rows).items()
        },
        **(extra or {}),
    }


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that is either complete or not there."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(
        json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8"
    )
    unfinished.replace(path)
