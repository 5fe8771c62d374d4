"""What the benchmarks train: eight workloads whose memory grows with the batch in different ways.

Loaded by path like a user's own file, in whichever interpreter trains. Plain torch, but for the
built-in ViSNet. Every workload counts its own training steps (see ``Counted``), so that a method
cannot cost less by counting less.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F

from probes.workloads.molecules import EXTRA
from probes.workloads.visnet import ViSNet

COUNTER_VARIABLE = "TONNAGE_BENCHMARK_STEPS"
"""Environment variable with the file that every training step is written to."""

Config = Mapping[str, Any]
Batch = tuple[Tensor, Tensor]


class Counted:
    """Writes a line ``PID BATCH_SIZE`` to the counter for each training step that begins.

    Steps that then run out of memory are counted too: they were paid for. Evaluation (no
    gradient) and steps on fake tensors (no computation) are not training.
    """

    _batch_size = 0

    def batches(self, config: Config, batch_size: int) -> Iterator[Any]:
        self._batch_size = batch_size
        batches = self.data(config, batch_size)
        if "TONNAGE_BENCHMARK_TURNS" not in os.environ:
            return batches
        from benchmarks.interleaving import in_turns

        return in_turns(batches)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        real = not isinstance(next(model.parameters()), FakeTensor)
        if real and torch.is_grad_enabled() and (path := os.environ.get(COUNTER_VARIABLE)):
            counter = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(counter, f"{os.getpid()} {self._batch_size}\n".encode())
            os.close(counter)
        return self.objective(model, batch)

    def data(self, config: Config, batch_size: int) -> Iterator[Any]:
        raise NotImplementedError

    def objective(self, model: nn.Module, batch: Any) -> Tensor:
        raise NotImplementedError


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class ResidualMLP(Counted):
    """Tabular regression. Memory is a straight line with a small slope: the edge is far out."""

    def space(self) -> dict[str, Any]:
        return {"blocks": range(1, 33), "width": [32, 64, 128]}

    def model(self, config: Config) -> nn.Module:
        width = config["width"]
        blocks = [_MLPBlock(width) for _ in range(config["blocks"])]
        return nn.Sequential(nn.Linear(32, width), *blocks, nn.Linear(width, 1))

    def data(self, config: Config, batch_size: int) -> Iterator[Batch]:
        generator = seeded()
        while True:
            x_BF = torch.randn(batch_size, 32, generator=generator)
            yield x_BF, x_BF.square().sum(1, keepdim=True)

    def objective(self, model: nn.Module, batch: Batch) -> Tensor:
        loss: Tensor = F.mse_loss(model(batch[0]), batch[1])
        return loss


class _MLPBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x_BD: Tensor) -> Tensor:
        sum_BD: Tensor = x_BD + self.layers(x_BD)
        return sum_BD


class Transformer(Counted):
    """An encoder of ``torch.nn`` with dropout, so that its attention matrices are kept."""

    length = 64

    def space(self) -> dict[str, Any]:
        return {"layers": range(1, 7), "width": [32, 64, 128]}

    def model(self, config: Config) -> nn.Module:
        return Classifier(config["layers"], config["width"])

    def data(self, config: Config, batch_size: int) -> Iterator[Batch]:
        generator = seeded()
        while True:
            tokens_BL = torch.randint(1, 256, (batch_size, self.length), generator=generator)
            yield tokens_BL, tokens_BL[:, 0] % 10

    def objective(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])


class Classifier(nn.Module):
    """Token 0 is padding. Returns logits of 10 classes."""

    def __init__(self, layers: int, width: int, heads: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(256, width, padding_idx=0)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        mixed_BLD = self.encoder(self.tokens(tokens_BL), src_key_padding_mask=tokens_BL == 0)
        logits: Tensor = self.head(mixed_BLD.mean(1))
        return logits


class ConvNet(Counted):
    """Images of 32 x 32: activations of the first layers, and workspaces of the library."""

    def space(self) -> dict[str, Any]:
        return {"channels": [8, 16, 32]}

    def model(self, config: Config) -> nn.Module:
        c = config["channels"]
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, c, 1), (c, c, 1), (c, 2 * c, 2), (2 * c, 4 * c, 2)):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * c, 10))
        return nn.Sequential(*layers, *pooled)

    def data(self, config: Config, batch_size: int) -> Iterator[Batch]:
        generator = seeded()
        while True:
            images_BCHW = torch.randn(batch_size, 3, 32, 32, generator=generator)
            yield images_BCHW, torch.randint(10, (batch_size,), generator=generator)

    def objective(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])


class Molecules(Counted, ViSNet):
    """The built-in ViSNet on the 162 molecules of G2; the most demanding ones come first.

    Its libraries and molecules are loaded at once, before anybody sets a limit: otherwise they
    would be charged to some methods, and not to those whose framework has loaded some of them.
    """

    data = ViSNet.batches
    objective = ViSNet.loss

    def __init__(self) -> None:
        super().__init__()
        EXTRA.require("torch_geometric.nn.models.visnet")
        len(self.dataset)


class CausalLM(Counted):
    """A small decoder with a large vocabulary: the logits weigh more than the model."""

    vocabulary = 8192
    length = 128

    def space(self) -> dict[str, Any]:
        return {"layers": range(1, 5), "width": [32, 64, 128]}

    def model(self, config: Config) -> nn.Module:
        return Decoder(self.vocabulary, self.length, config["layers"], config["width"])

    def data(self, config: Config, batch_size: int) -> Iterator[Batch]:
        generator = seeded()
        shape = (batch_size, self.length + 1)
        while True:
            tokens_BL = torch.randint(self.vocabulary, shape, generator=generator)
            yield tokens_BL[:, :-1], tokens_BL[:, 1:]

    def objective(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


class Decoder(nn.Module):
    """Causal self-attention with tied embeddings. Returns logits of shape (B, L, V)."""

    def __init__(self, vocabulary: int, length: int, layers: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
            for _ in range(layers)
        )
        mask_LL = nn.Transformer.generate_square_subsequent_mask(length)
        self.register_buffer("mask_LL", mask_LL, persistent=False)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        x_BLD = self.tokens(tokens_BL) + self.positions.weight
        for block in self.blocks:
            x_BLD = block(x_BLD, src_mask=self.mask_LL, is_causal=True)
        logits_BLV: Tensor = x_BLD @ self.tokens.weight.T
        return logits_BLV


class VariableLength(Transformer):
    """Sequences of 16 to 96 tokens, padded to the longest of their batch.

    The first batch is the worst case; a typical one is shorter, so that a trial on random batches
    would see less than what an epoch brings.
    """

    shortest, length = 16, 96

    def data(self, config: Config, batch_size: int) -> Iterator[Batch]:
        generator = seeded()
        longest = self.length
        while True:
            # No sequence of this batch is longer than a draw that is skewed to short ones.
            lengths_B = torch.randint(
                self.shortest, longest + 1, (batch_size,), generator=generator
            )
            lengths_B[0] = longest
            tokens_BL = torch.randint(1, 256, (batch_size, longest), generator=generator)
            tokens_BL[torch.arange(longest) >= lengths_B[:, None]] = 0
            yield tokens_BL, tokens_BL[:, 0] % 10
            skewed = float(torch.rand((), generator=generator)) ** 2
            longest = self.shortest + math.ceil(skewed * (self.length - self.shortest))


class Contrastive(Counted):
    """Pairs compared within the batch: the similarity matrix grows with the batch's square."""

    def space(self) -> dict[str, Any]:
        return {"width": [64, 128, 256]}

    def model(self, config: Config) -> nn.Module:
        return TwoTowers(config["width"])

    def data(self, config: Config, batch_size: int) -> Iterator[Batch]:
        generator = seeded()
        while True:
            seen_BF = torch.randn(batch_size, 64, generator=generator)
            yield seen_BF, seen_BF + torch.randn(batch_size, 64, generator=generator)

    def objective(self, model: nn.Module, batch: Batch) -> Tensor:
        similarity_BB = model(batch)
        pair_B = torch.arange(len(similarity_BB), device=similarity_BB.device)
        return F.cross_entropy(similarity_BB, pair_B) + F.cross_entropy(similarity_BB.T, pair_B)


class TwoTowers(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.left, self.right = (
            nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
            for _ in range(2)
        )

    def forward(self, pair: Batch) -> Tensor:
        left_BD, right_BD = self.left(pair[0]), self.right(pair[1])
        return F.normalize(left_BD) @ F.normalize(right_BD).T * 10


class Padded(Transformer):
    """Batches filled up to a multiple of 32 rows, so that few shapes occur: a staircase."""

    length = 32
    bucket = 32

    def data(self, config: Config, batch_size: int) -> Iterator[Batch]:
        generator = seeded()
        rows = math.ceil(batch_size / self.bucket) * self.bucket
        while True:
            tokens_BL = torch.randint(1, 256, (batch_size, self.length), generator=generator)
            filled_RL = torch.ones(rows, self.length, dtype=torch.long)
            filled_RL[:batch_size] = tokens_BL
            label_R = torch.full((rows,), -100)  # what cross_entropy ignores
            label_R[:batch_size] = tokens_BL[:, 0] % 10
            yield filled_RL, label_R
