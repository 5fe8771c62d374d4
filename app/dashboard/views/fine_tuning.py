"""The evaluations of a fine-tuning, as its page shows them."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.dashboard.filters import number, words
from app.database.models.finetuning import FineTuningRow
from app.finetunings.service import BASELINE


class ShownFigure(NamedTuple):
    """A metric of an evaluation."""

    name: str
    value: str
    interval: str
    better: str
    n: str


class ShownEvaluation(NamedTuple):
    """An evaluated task, of the fine-tuned model or of its baseline."""

    task: str
    whose: str
    figures: list[ShownFigure]


def evaluations_of(run: FineTuningRow) -> list[ShownEvaluation]:
    """In the order of tasks, the baseline after the fine-tuned model."""
    order = sorted(
        run.evaluations, key=lambda n: (n.removeprefix(BASELINE), n.startswith(BASELINE))
    )
    return [
        ShownEvaluation(
            name.removeprefix(BASELINE),
            "baseline" if name.startswith(BASELINE) else "fine-tuned",
            [
                _figure(metric, plain)
                for metric, plain in (run.evaluations[name].get("figures") or {}).items()
            ],
        )
        for name in order
    ]


def _figure(metric: str, plain: dict[str, Any]) -> ShownFigure:
    low, high = plain.get("low"), plain.get("high")
    unit = f" {plain['unit']}" if plain.get("unit") else ""
    return ShownFigure(
        words(metric),
        number(plain.get("value")) + unit,
        f"{number(low)} to {number(high)}" if low is not None and high is not None else "",
        f"{plain['direction']} is better" if plain.get("direction") else "",
        number(plain.get("groups")),
    )
