"""Small models and a workload around them, trained in the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from probes.devices.base import Backend
from probes.devices.cpu import CpuBackend
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.worker.training import Training

WIDTH = 16


class Block(nn.Module):
    """A residual block with dropout, so that recomputing must repeat its random numbers."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
        return x + scale * self.layers(x)


class Blocks(nn.Module):
    """A stack of blocks between two layers."""

    def __init__(self, count: int = 4, width: int = WIDTH) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(count))
        self.last = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x, scale=0.5)
        return self.last(x)


class Small:
    """A workload of a model and a function that makes its batches."""

    def __init__(
        self,
        model: Callable[[], nn.Module],
        batch: Callable[[int], Any] = lambda size: torch.randn(size, WIDTH),
        optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
    ) -> None:
        self.make_model = model
        self.make_batch = batch
        if optimizer is not None:
            self.optimizer = optimizer

    def space(self) -> dict[str, Any]:
        return {}

    def model(self, config: dict[str, Any]) -> nn.Module:
        torch.manual_seed(0)
        return self.make_model()

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Any]:
        torch.manual_seed(1)
        while True:
            yield self.make_batch(batch_size)

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = model(batch).square().mean()
        return loss


def job(batch_size: int = 8, effective: int | None = None, **config: Any) -> ProbeJob:
    ref = WorkloadRef("small")
    return ProbeJob(ref, config, batch_size, "cpu", BRACKET_PLAN, effective_batch_size=effective)


def training(workload: Any, backend: Backend | None = None, **asked: Any) -> Training:
    """``asked`` are levers, ``batch_size`` and ``effective``."""
    return Training(workload, job(**asked), backend or CpuBackend())


def gradients(trained: Training) -> dict[str, torch.Tensor]:
    """Those of the step that was made last."""
    return {n: p.grad.clone() for n, p in trained.model.named_parameters() if p.grad is not None}
