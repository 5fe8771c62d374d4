"""What is trained: presets, architectures, budgets, and rows of mixed lengths made by a script."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import PRESETS, preset

FAMILIES = ("llama", "gpt2")
EFFECTIVE_BATCH = 8
"""Rows per optimizer step in every case, so that a case takes minutes on two cores."""
STEP_BUDGET_MIB = 1024
FIT_BUDGETS_MIB = (512, 1024, 2048, 4096)
PLAIN_BUDGET_MIB = 1024
"""The budget in which a plain model's loss is searched too."""
ROWS = 400
WORDS = ("up", "down", "left", "right", "head", "apple", "body", "wall", "move", "safe", "path")


@dataclass(frozen=True)
class Shape:
    """An untrained model, and how long its rows may be."""

    layers: int
    hidden_size: int
    vocabulary: int
    """Rows of the embedding; the tokenizer uses some of them."""
    max_length: int


STEP_SHAPE = Shape(layers=6, hidden_size=128, vocabulary=16_384, max_length=256)
FIT_SHAPE = Shape(layers=4, hidden_size=256, vocabulary=16_384, max_length=512)


@dataclass(frozen=True)
class Case:
    """One preset on one architecture within one budget."""

    part: str
    """``step``: measured against 100 steps of training; ``fit``: a few steps, and resumed."""
    preset: str
    family: str
    rows: str
    """``mixed`` lengths, or ``equal``: every batch is then as large as the largest."""
    budget_mib: int
    steps: int

    @property
    def identity(self) -> str:
        return f"{self.part}/{self.preset}/{self.family}/{self.rows}/{self.budget_mib}"

    @property
    def shape(self) -> Shape:
        return STEP_SHAPE if self.part == "step" else FIT_SHAPE

    @property
    def stops_at(self) -> int | None:
        """Step after which training is stopped, to be resumed within the same budget."""
        return 2 if self.part == "fit" else None

    def settings(self, model: Path) -> FineTuningSettings:
        """The preset, shortened. Evaluation and checkpoints fall within the run."""
        reports = max(1, self.steps // 2)
        return preset(self.preset).settings(
            str(model),
            {
                "training.max_steps": self.steps,
                "training.max_length": self.shape.max_length,
                "training.effective_batch_size": EFFECTIVE_BATCH,
                "reporting.logging_steps": max(1, self.steps // 10),
                "reporting.eval_steps": reports,
                "reporting.save_steps": reports,
            },
        )


def step_cases(rows: str, steps: int = 100) -> list[Case]:
    return [
        Case("step", name, family, rows, STEP_BUDGET_MIB, steps)
        for name in PRESETS
        for family in FAMILIES
    ]


def fit_cases(steps: int = 4) -> list[Case]:
    return [
        Case("fit", name, family, "mixed", budget, steps)
        for budget in FIT_BUDGETS_MIB
        for name in PRESETS
        for family in FAMILIES
    ]


def texts(kind: str, most_words: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Rows of prompt and completion. Mixed lengths are log-normal, as those of chats are: most are
    short, some are truncated. ``most_words`` is the most words of a prompt."""
    draw = random.Random(seed)
    for _ in range(ROWS):
        words = most_words if kind == "equal" else min(int(draw.lognormvariate(3.0, 1.0)) + 1, 2000)
        thought = most_words // 8 if kind == "equal" else draw.randint(2, 24)
        yield {
            "prompt": "State: " + " ".join(draw.choice(WORDS) for _ in range(words)),
            "completion": "\nBecause "
            + " ".join(draw.choice(WORDS) for _ in range(thought))
            + f". The move is: {draw.choice(WORDS[:4])}",
        }


def make_rows(folder: Path, kind: str, shape: Shape) -> Path:
    """The rows of a case as a JSONL file, made once."""
    file = folder / f"{kind}-{shape.max_length}.jsonl"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rows = texts(kind, shape.max_length * 3 // 4)
        partial = file.with_suffix(".partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows))
        partial.rename(file)
    return file


def make_model(folder: Path, family: str, shape: Shape) -> Path:
    """The untrained model of a case with its tokenizer, made once."""
    from transformers import AutoModelForCausalLM

    from finetuning.models.small import make_small_model

    made = folder / f"{family}-{shape.layers}x{shape.hidden_size}"
    if not made.is_dir():
        partial = made.with_suffix(".partial")
        make_small_model(
            partial,
            (f"{row['prompt']}{row['completion']}" for row in texts("mixed", shape.max_length)),
            family=family,
            layers=shape.layers,
            hidden_size=shape.hidden_size,
            heads=shape.hidden_size // 32,
            positions=shape.max_length,
        )
        model: Any = AutoModelForCausalLM.from_pretrained(partial)
        model.resize_token_embeddings(shape.vocabulary, mean_resizing=False)
        model.save_pretrained(partial)
        partial.rename(made)
    return made
