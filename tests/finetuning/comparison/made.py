"""Evaluated runs and pairs of models as the tests need them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from finetuning.comparison.pairing import GroupSums, PairedSums
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow, write_rows
from finetuning.settings.presets import preset

SCORE = Metric("score", "score", Direction.HIGHER, "Apples per game", unit="apples")
WIN = Metric("win_rate", "win", Direction.HIGHER, "Share of games won")
PERPLEXITY = Metric(
    "perplexity", "nll", Direction.LOWER, "Of completions", weight="tokens", exponential=True
)


def rows(
    task: str,
    columns: Mapping[str, Sequence[float]],
    *,
    per_group: int = 1,
    sources: Sequence[str] = ("all",),
    first: int = 0,
) -> list[EvaluationRow]:
    """One row per position of the columns; groups of ``per_group`` follow each other."""
    count = len(next(iter(columns.values())))
    return [
        EvaluationRow(
            task=task,
            item=f"item-{first + n}",
            group=f"game-{(first + n) // per_group}",
            source=sources[(first + n) // per_group % len(sources)],
            values={name: float(values[n]) for name, values in columns.items()},
        )
        for n in range(count)
    ]


def write_run(
    folder: Path,
    tasks: Mapping[str, tuple[Sequence[Metric], Iterable[EvaluationRow]]],
    *,
    changes: Mapping[str, Any] | None = None,
    settings: bool = True,
    noun: str = "",
) -> Path:
    """A run's folder with what a comparison reads."""
    for name, (metrics, its_rows) in tasks.items():
        target = folder / "evaluation" / name
        target.mkdir(parents=True)
        write_rows(target / "rows.jsonl", its_rows)
        summary = {"metrics": [asdict(metric) for metric in metrics], "noun": noun}
        (target / "summary.json").write_text(json.dumps(summary))
    if settings:
        plain = preset("production_lora").settings("models/base", changes).to_plain()
        (folder / "finetuning.yaml").write_text(yaml.safe_dump(plain))
    return folder


def paired(
    baseline: tuple[Any, Any], model: tuple[Any, Any], *, exponential: bool = False
) -> PairedSums:
    """Sums of both models: (weighted values, weights) per group."""
    (a, w), (b, v) = baseline, model
    groups = tuple(f"game-{n}" for n in range(len(a)))
    return PairedSums(
        groups,
        GroupSums(np.asarray(a, float), np.asarray(w, float), exponential),
        GroupSums(np.asarray(b, float), np.asarray(v, float), exponential),
        items=len(groups),
    )


def mean_pairs(rng: np.random.Generator, groups: int, gain: float = 0.0) -> PairedSums:
    """Scores of games: what makes a game hard moves both models; each has noise of 4 besides."""
    game = rng.gamma(4, 5, groups)
    a, b = game + rng.normal(0, 4, groups), game + gain + rng.normal(0, 4, groups)
    return paired((a, np.ones(groups)), (b, np.ones(groups)))


def binary_pairs(rng: np.random.Generator, groups: int, gain: float = 0.0) -> PairedSums:
    """Right decisions in games of 5 to 60 moves; how hard they are is the game's."""
    moves = rng.integers(5, 61, (2, groups))
    share = rng.beta(6, 3, groups)
    a = rng.binomial(moves[0], np.clip(share + rng.normal(0, 0.1, groups), 0, 1))
    b = rng.binomial(moves[1], np.clip(share + gain + rng.normal(0, 0.1, groups), 0, 1))
    return paired((a, moves[0]), (b, moves[1]))


def weighted_pairs(rng: np.random.Generator, groups: int, gain: float = 0.0) -> PairedSums:
    """Perplexities: nll per token of texts of 20 to 400 tokens; ``gain`` lowers it."""
    tokens = rng.integers(20, 401, groups)
    nll = 1.5 + rng.normal(0, 0.4, groups)
    a = (nll + rng.normal(0, 0.1, groups)) * tokens
    b = (nll - gain + rng.normal(0, 0.1, groups)) * tokens
    return paired((a, tokens), (b, tokens), exponential=True)


KINDS: Mapping[str, Callable[..., PairedSums]] = {
    "mean": mean_pairs,
    "binary": binary_pairs,
    "weighted": weighted_pairs,
}
