"""A model of a few thousand weights and the rows to train it on."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from finetuning.models.small import make_small_model


def rows(count: int, seed: int) -> list[dict[str, str]]:
    rng = random.Random(seed)
    return [
        {
            "prompt": "Sort: "
            + " ".join(str(rng.randint(0, 9)) for _ in range(rng.randint(3, 20))),
            "completion": f"\nConclusion: The move is: {rng.choice(('UP', 'DOWN'))}",
            "source": "numbers",
            "group": f"g{index // 2}",
            "id": f"numbers/{seed}/{index}",
        }
        for index in range(count)
    ]


def write_rows(file: Path, count: int, seed: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(count, seed)))
    return file


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of small untrained models, by family."""
    root = tmp_path_factory.mktemp("models")
    texts = [row["prompt"] + row["completion"] for row in rows(50, 0)]
    return {
        family: make_small_model(
            root / family, texts, family=family, layers=2, hidden_size=32, positions=512
        )
        for family in ("llama", "gpt2")
    }


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prepared rows."""
    folder = tmp_path_factory.mktemp("data")
    write_rows(folder / "train.jsonl", 40, seed=1)
    write_rows(folder / "eval.jsonl", 8, seed=2)
    return folder
