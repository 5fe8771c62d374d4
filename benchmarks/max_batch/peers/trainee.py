"""What a method is handed: a workload with its config, and a plain training loop on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.max_batch.peers import STEPS_PER_TRIAL
from probes.worker.training import to_device
from probes.workloads.interface import default_optimizer


@dataclass(frozen=True)
class Trainee:
    workload: Any
    config: dict[str, Any]
    device: str = "cpu"

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        model: nn.Module = self.workload.model(self.config)
        return model.to(self.device).train()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        make = getattr(self.workload, "optimizer", None)
        optimizer: torch.optim.Optimizer = make(model) if make else default_optimizer(model)
        return optimizer

    def loader(
        self, batch_size: int, collate: Callable[[Any], Any] | None = None
    ) -> DataLoader[Any]:
        """The workload's batches, the worst case first, as the frameworks want them."""
        return DataLoader(_Stream(self, batch_size), batch_size=None, collate_fn=collate)

    def train(self, batch_size: int, steps: int = STEPS_PER_TRIAL) -> None:
        """A new model trained for some steps. Raises what torch raises when memory runs out."""
        model = self.model()
        optimizer = self.optimizer(model)
        batches = self.workload.batches(self.config, batch_size)
        for _ in range(steps):
            optimizer.zero_grad()
            batch = to_device(next(batches), torch.device(self.device))
            self.workload.loss(model, batch).backward()
            optimizer.step()


class _Stream(IterableDataset[Any]):
    def __init__(self, trainee: Trainee, batch_size: int) -> None:
        self.trainee, self.batch_size = trainee, batch_size

    def __iter__(self) -> Iterator[Any]:
        return iter(self.trainee.workload.batches(self.trainee.config, self.batch_size))


class Counter:
    """A workload that counts its training steps and their samples, the failing ones included."""

    def __init__(self, workload: Any) -> None:
        self._workload = workload
        self._batch_size = 0
        self.steps = 0
        self.samples = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workload, name)

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Any]:
        self._batch_size = batch_size
        batches: Iterator[Any] = self._workload.batches(config, batch_size)
        return batches

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.steps += 1
            self.samples += self._batch_size
        loss: torch.Tensor = self._workload.loss(model, batch)
        return loss


class Rehearsal:
    """A tiny workload that says it is out of memory from batch 2048 on.

    Every method runs on it once before the limit is set, so that what its framework imports late
    is not charged to it.
    """

    def model(self, config: dict[str, Any]) -> nn.Module:
        return nn.Linear(4, 1)

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[torch.Tensor]:
        while True:
            yield torch.ones(batch_size, 4)

    def loss(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        if len(batch) >= 2048:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory (rehearsal)")
        loss: torch.Tensor = model(batch).mean()
        return loss
