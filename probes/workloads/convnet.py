"""Built-in workload ``convnet``: a small image classifier in torch alone, on random images.

For what concerns convolutions, such as the lever ``channels_last``: it needs no data and behaves
like real training (convolutions, BatchNorm, pooling, AdamW).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from probes.errors import InputError
from probes.space import Choice, Int, unknown_name

Batch = tuple[torch.Tensor, torch.Tensor]

CLASSES = 10
KINDS = ("residual", "separable")


class Residual(nn.Module):
    """Two convolutions around a shortcut. Shapes: ``x_BCHW`` batch, channels, rows, columns."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        return torch.relu(x_BCHW + self.layers(x_BCHW))


class Separable(nn.Module):
    """A depthwise convolution between two pointwise ones, around a shortcut."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        wide = channels * expansion
        self.layers = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        sum_BCHW: torch.Tensor = x_BCHW + self.layers(x_BCHW)
        return sum_BCHW


class ConvNet:
    """Synthetic image classification. Options: ``kind``, of blocks, ``residual`` or ``separable``;
    ``size``, rows and columns of an image; ``seed``, of the images."""

    dataset_size = None

    def __init__(self, kind: str = "residual", size: int = 32, seed: int = 0) -> None:
        if kind not in KINDS:
            raise InputError(unknown_name("kind", str(kind), KINDS))
        if not isinstance(size, int) or isinstance(size, bool) or size < 4:
            raise InputError(f"convnet: option size={size!r} must be a whole number of 4 or more.")
        self.kind = kind
        self.size = size
        self.seed = seed

    def space(self) -> dict[str, Any]:
        return {"blocks": Int(1, 16), "channels": Choice([16, 32, 64, 128])}

    def model(self, config: dict[str, Any]) -> nn.Module:
        channels = config["channels"]
        block = Residual if self.kind == "residual" else Separable
        return nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Sequential(*(block(channels) for _ in range(config["blocks"]))),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, CLASSES),
        )

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        shape = (batch_size, 3, self.size, self.size)
        while True:
            images_BCHW = torch.randn(shape, generator=generator)
            yield images_BCHW, torch.randint(CLASSES, (batch_size,), generator=generator)

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        images_BCHW, classes_B = batch
        return nn.functional.cross_entropy(model(images_BCHW), classes_B)

    def evaluate(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        return self.loss(model, batch)
