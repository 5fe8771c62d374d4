"""Evaluated runs and pairs of models as the tests need them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

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
