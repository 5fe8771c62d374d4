"""Three small workloads that several ranks train, with little to compute for the memory they take.
Loaded by path, like a user's own file.

The option ``seed`` makes other data of the same kind. Each rank draws data of its own, as with a
sampler per rank, the worst case first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

Config = Mapping[str, Any]
TOKENS = 64
SHORTEST, LONGEST = 8, 64
SIDES = (16, 4, 6, 8)
"""Pixels; the first is the largest."""


class Seeded:
    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def generator(self) -> torch.Generator:
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        return torch.Generator().manual_seed(1000 * self.seed + rank)


class MlpBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.down(torch.relu(self.up(self.norm(x))))
        return result


class Mlp(Seeded):
    """Residual blocks behind a table of embeddings, which is most of the parameters: optimizer
    state beside activations in proportion to the batch."""

    rows, outputs = 40_000, 16

    def space(self) -> dict[str, Any]:
        return {"width": [16, 32], "layers": range(2, 9)}

    def model(self, config: Config) -> nn.Module:
        width = config["width"]
        blocks = [MlpBlock(width) for _ in range(config["layers"])]
        return nn.Sequential(
            nn.Embedding(self.rows, width), *blocks, nn.Linear(width, self.outputs)
        )

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        generator = self.generator()
        while True:
            rows = torch.randint(self.rows, (batch_size,), generator=generator)
            yield rows, torch.randn(batch_size, self.outputs, generator=generator)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return F.mse_loss(model(batch[0]), batch[1])


class Transformer(Seeded):
    """Every batch of every rank has a length of its own, few of them long; the longest comes
    first."""

    def space(self) -> dict[str, Any]:
        return {"width": [16, 32], "layers": [1, 2, 3]}

    def model(self, config: Config) -> nn.Module:
        width = config["width"]
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True)
        encoder = nn.TransformerEncoder(layer, config["layers"], enable_nested_tensor=False)
        return nn.Sequential(nn.Embedding(TOKENS, width), encoder, nn.Linear(width, TOKENS))

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        generator = self.generator()
        length = LONGEST
        while True:
            yield torch.randint(TOKENS, (batch_size, length), generator=generator)
            share = float(torch.rand((), generator=generator)) ** 3
            length = SHORTEST + round(share * (LONGEST - SHORTEST))

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch).flatten(0, 1), batch.flatten())


class Conv(Seeded):
    """Small images, batch normalisation, library workspaces; every batch has a resolution of its
    own, and the highest comes first."""

    def space(self) -> dict[str, Any]:
        return {"channels": [4, 8]}

    def model(self, config: Config) -> nn.Module:
        c = config["channels"]
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, c, 1), (c, 2 * c, 2), (2 * c, 4 * c, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * c, 10))

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        generator = self.generator()
        side = SIDES[0]
        while True:
            images = torch.randn(batch_size, 3, side, side, generator=generator)
            yield images, torch.randint(10, (batch_size,), generator=generator)
            side = SIDES[int(torch.randint(len(SIDES), (), generator=generator))]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])
