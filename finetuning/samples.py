"""A model and rows to try the workload ``sft`` with: made here, nothing is downloaded.

Used where a claim is measured without data of one's own. Imports transformers when a model is made.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from finetuning.models.small import make_small_model
from probes.workloads.text import SAMPLE, SAMPLE_FILE

__all__ = ["MODELS", "SAMPLE", "make_model", "make_rows", "rows"]

TOKENS = 1024
"""Of the tokenizer, at most."""
MODELS = {"small-llama": "llama", "small-gpt2": "gpt2"}
"""Names of models that can be made, with their families."""
LAYERS, HIDDEN_SIZE, POSITIONS = 4, 256, 512
TRAIN_ROWS, EVAL_ROWS = 256, 16
MOST_WORDS = 200


def make_model(folder: Path, name: str) -> Path:
    """Write the untrained model ``name`` of ``MODELS`` with a tokenizer; returns the folder."""
    return make_small_model(
        folder,
        (row["prompt"] + row["completion"] for row in rows(TRAIN_ROWS, seed=0)),
        family=MODELS[name],
        layers=LAYERS,
        hidden_size=HIDDEN_SIZE,
        heads=HIDDEN_SIZE // 64,
        positions=POSITIONS,
        vocabulary=TOKENS,
    )


def make_rows(folder: Path) -> Path:
    """Write ``train.jsonl`` and ``eval.jsonl``; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count, seed in (("train", TRAIN_ROWS, 0), ("eval", EVAL_ROWS, 1)):
        lines = [json.dumps(row) + "\n" for row in rows(count, seed)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def rows(count: int, seed: int) -> Iterator[dict[str, str]]:
    """Passages of the sample text: a prompt, and how it goes on. Their lengths are log-normal, as
    those of chats are: most are short, some are long."""
    words = SAMPLE_FILE.read_text(encoding="utf-8").split()
    draw = random.Random(seed)
    for _ in range(count):
        asked, told = (min(int(draw.lognormvariate(3.0, 1.0)) + 2, MOST_WORDS) for _ in range(2))
        first = draw.randrange(len(words))
        passage = [words[(first + i) % len(words)] for i in range(asked + told)]
        yield {
            "prompt": " ".join(passage[:asked]),
            "completion": " " + " ".join(passage[asked:]),
        }
