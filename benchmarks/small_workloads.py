"""Small workloads for many real searches: a step takes milliseconds, and memory misbehaves.

Loaded by path, like a user's own file. Plain torch. The first ones grow with the batch in
different ways; the others do what ends long runs: bursts, caches, late buffers, leaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Config = Mapping[str, Any]
KIB = 1024


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Mlp:
    """Memory in proportion to the batch."""

    features = 64

    def space(self) -> dict[str, Any]:
        return {"width": [64, 128, 256], "layers": range(1, 9)}

    def model(self, config: Config) -> nn.Module:
        width = config["width"]
        layers: list[nn.Module] = [nn.Linear(self.features, width)]
        for _ in range(config["layers"]):
            layers += [nn.GELU(), nn.LayerNorm(width), nn.Linear(width, width)]
        return nn.Sequential(*layers, nn.Linear(width, self.features))

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        generator = seeded()
        while True:
            yield torch.randn(batch_size, self.features, generator=generator)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return F.mse_loss(model(batch), batch)


class Conv:
    """Small images, batch normalisation, library workspaces."""

    def space(self) -> dict[str, Any]:
        return {"channels": [8, 16, 24]}

    def model(self, config: Config) -> nn.Module:
        c = config["channels"]
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, c, 1), (c, 2 * c, 2), (2 * c, 4 * c, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * c, 10))

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        generator = seeded()
        while True:
            images = torch.randn(batch_size, 3, 16, 16, generator=generator)
            yield images, torch.randint(10, (batch_size,), generator=generator)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])


class Attention:
    """One attention block over sequences; the matrices of attention are kept."""

    length = 48

    def space(self) -> dict[str, Any]:
        return {"width": [16, 32, 64], "layers": [1, 2, 3]}

    def model(self, config: Config) -> nn.Module:
        width = config["width"]
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True)
        encoder = nn.TransformerEncoder(layer, config["layers"], enable_nested_tensor=False)
        return nn.Sequential(nn.Embedding(64, width), encoder, nn.Linear(width, 64))

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        generator = seeded()
        while True:
            yield torch.randint(64, (batch_size, self.length), generator=generator)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch).flatten(0, 1), batch.flatten())


class VariableLength(Attention):
    """Every batch has a length of its own, 12 to 64; the longest comes first."""

    longest = 64

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        generator = seeded()
        length = self.longest
        while True:
            yield torch.randint(64, (batch_size, length), generator=generator)
            length = int(torch.randint(12, self.longest + 1, (), generator=generator))


class Contrastive(Mlp):
    """Similarities within the batch: memory grows with its square."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        out = F.normalize(model(batch))
        return F.cross_entropy(out @ F.normalize(batch).T, torch.arange(len(batch)))


class Padded(Mlp):
    """Rows filled up to a multiple of 64: a staircase."""

    features = 512

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        return super().batches(config, -(-batch_size // 64) * 64)


class HeavyModel(Mlp):
    """Most of the budget is the model and its optimizer."""

    def model(self, config: Config) -> nn.Module:
        table = nn.Linear(self.features, config["width"] * config["layers"] * 64)
        return nn.Sequential(table, nn.Linear(table.out_features, self.features))


class HungryEvaluation(Mlp):
    """Validation needs more than a training step of a small model: 48 copies of each output."""

    def evaluate(self, model: nn.Module, batch: Any) -> Tensor:
        out = model(batch)
        return (out.repeat(1, 48) - batch.repeat(1, 48)).square().mean()


class Bursts(Mlp):
    """Every seventh step sees two views of the batch."""

    step = 0

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.step += 1
        loss = super().loss(model, batch)
        return loss + super().loss(model, batch.flip(0)) if self.step % 7 == 0 else loss


class LateBuffer(Mlp):
    """Something as large as a tenth of the activations is built once, in step 15."""

    step = 0
    buffer: Tensor | None = None

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.step += 1
        if self.step == 15:
            self.buffer = torch.ones(len(batch), 2 * self.features)
        return super().loss(model, batch)


class ReplayMemory(Mlp):
    """Keeps the last twelve batches, so that memory grows and then stays."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.kept = [*self.kept[-11:], batch.clone()]
        return super().loss(model, batch)


class Fragments(Mlp):
    """Pieces of all sizes come and go on the C library's heap, each kept for some ten steps."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self.sizes = seeded()

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        for size in torch.randint(1 * KIB, 30 * KIB, (8,), generator=self.sizes).tolist():
            self.kept.append(torch.ones(size))
        dropped = torch.randperm(len(self.kept), generator=self.sizes)[80:].tolist()
        self.kept = [piece for i, piece in enumerate(self.kept) if i not in set(dropped)]
        return super().loss(model, batch)


class Leaks(Mlp):
    """Keeps 256 KiB of every step: nothing is stable, whatever the batch."""

    kept_bytes = 256 * KIB

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.kept.append(torch.ones(self.kept_bytes // 4))
        return super().loss(model, batch)


class LeaksSmallPieces(Leaks):
    """The same in pieces that the C library serves from its heap."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.kept.extend(torch.ones(8 * KIB // 4) for _ in range(self.kept_bytes // (8 * KIB)))
        return super(Leaks, self).loss(model, batch)


class LeaksSlowly(LeaksSmallPieces):
    """64 KiB of every step, in small pieces."""

    kept_bytes = 64 * KIB
