"""Built-in workload ``transformer``: a plain decoder-only language model in torch alone.

For ``doctor``, the accelerator check and the tests: it runs wherever torch does, needs no data
and behaves like real training (embedding, causal attention, Adam).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from probes.errors import InputError
from probes.space import Choice, Int

Batch = tuple[torch.Tensor, torch.Tensor]


class Block(nn.Module):
    """Pre-norm decoder block. Shapes: ``x_BLD`` batch, length, width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x_BLD: torch.Tensor) -> torch.Tensor:
        B, L, D = x_BLD.shape
        qkv = self.qkv(self.norm_attention(x_BLD)).view(B, L, 3, self.heads, D // self.heads)
        q_BHLK, k_BHLK, v_BHLK = qkv.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q_BHLK, k_BHLK, v_BHLK, is_causal=True)
        x_BLD = x_BLD + self.out(mixed.transpose(1, 2).reshape(B, L, D))
        mixed_BLD: torch.Tensor = x_BLD + self.mlp(self.norm_mlp(x_BLD))
        return mixed_BLD


class Decoder(nn.Module):
    """Token and position embedding, blocks, tied output. Returns logits of shape (B, L, V)."""

    def __init__(self, vocabulary: int, length: int, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens_BL: torch.Tensor) -> torch.Tensor:
        positions_L = torch.arange(tokens_BL.shape[1], device=tokens_BL.device)
        x_BLD = self.tokens(tokens_BL) + self.positions(positions_L)
        for block in self.blocks:
            x_BLD = block(x_BLD)
        logits_BLV: torch.Tensor = self.norm(x_BLD) @ self.tokens.weight.T
        return logits_BLV


class Transformer:
    """Synthetic next-token prediction. Options: ``vocabulary``, ``length``, ``heads``; and
    ``leak_mib``, by which the memory in use grows with every step, to check that a leak is seen.
    """

    dataset_size = None

    def __init__(
        self,
        vocabulary: int = 1024,
        length: int = 64,
        heads: int = 4,
        seed: int = 0,
        leak_mib: int = 0,
    ) -> None:
        for name, value in (("vocabulary", vocabulary), ("length", length), ("heads", heads)):
            if not isinstance(value, int) or value < 1:
                raise InputError(f"transformer: option {name}={value!r} must be 1 or more.")
        self.vocabulary = vocabulary
        self.length = length
        self.heads = heads
        self.seed = seed
        self.leak_mib = leak_mib
        self.leaked: list[torch.Tensor] = []

    def space(self) -> dict[str, Any]:
        return {"layers": Int(1, 12), "width": Choice([32, 64, 128, 256, 512, 768, 1024])}

    def model(self, config: dict[str, Any]) -> nn.Module:
        width = config["width"]
        if width % self.heads:
            raise InputError(
                f"transformer: width={width} must be a multiple of {self.heads} heads."
            )
        return Decoder(self.vocabulary, self.length, config["layers"], width, self.heads)

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            tokens_BL = torch.randint(
                self.vocabulary, (batch_size, self.length + 1), generator=generator
            )
            yield tokens_BL[:, :-1], tokens_BL[:, 1:]

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        tokens_BL, targets_BL = batch
        if self.leak_mib:
            self.leaked.append(torch.ones(self.leak_mib * 2**18, device=tokens_BL.device))
        return nn.functional.cross_entropy(model(tokens_BL).flatten(0, 1), targets_BL.flatten())

    def evaluate(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        return self.loss(model, batch)
