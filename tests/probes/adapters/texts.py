"""A tiny text classifier and its data, as a user's own module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LENGTHS = [3 + (7 * k) % 20 for k in range(200)]
LENGTHS[137] = 60
TEXTS = [{"tokens": [1 + length % 2] * length, "labels": length % 2} for length in LENGTHS]
SPACE = {"width": [8, 16]}


def pad(samples: list[dict[str, Any]]) -> dict[str, Tensor]:
    longest = max(len(sample["tokens"]) for sample in samples)
    rows = [sample["tokens"] + [0] * (longest - len(sample["tokens"])) for sample in samples]
    return {"tokens": torch.tensor(rows), "labels": torch.tensor([s["labels"] for s in samples])}


class Classifier(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, width)
        self.head = nn.Linear(width, 2)

    def forward(self, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.embedding(tokens).mean(1))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}
