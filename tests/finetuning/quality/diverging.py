"""A workload whose loss is not a number after a few steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


class Diverging:
    steps = 0

    def space(self) -> dict[str, Any]:
        return {"width": [4]}

    def model(self, config: dict[str, Any]) -> torch.nn.Module:
        return torch.nn.Linear(config["width"], 1)

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[torch.Tensor]:
        while True:
            yield torch.ones(batch_size, config["width"])

    def loss(self, model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        return model(batch).mean() * (float("nan") if self.steps > 5 else 1.0)
