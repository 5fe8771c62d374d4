"""A workload that goes wrong on one rank, in one way, at one place. Loaded by path, by real gangs.

Options: ``kind`` of fault, the ``rank`` that has it, ``place`` (``build``, ``data``, ``forward``,
``backward``, ``optimizer``, ``evaluate`` or ``checkpoint``) and, where the place is part of a step,
the ``step`` from 1. Of those around the forward pass, which the loss counts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

WIDTH, FEATURES = 64, 16
TOO_MUCH = 2**31
"""Elements: 8 GiB, more than any budget here."""
LEAKED = 2**18
"""Elements: 1 MiB per step."""
ORPHAN = ["sleep", "600"]

kept: list[Tensor] = []


def go_wrong(kind: str) -> None:
    """What the faulty rank does, once it is there."""
    if kind == "memory":
        torch.empty(TOO_MUCH)
    elif kind == "hang":
        while True:
            time.sleep(1)
    elif kind == "abort":
        os.abort()
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif kind == "exit":
        sys.exit(0)
    elif kind == "raise":
        raise KeyError("labels")
    elif kind == "orphan":
        subprocess.Popen(ORPHAN, start_new_session=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "one more all_reduce":
        dist.all_reduce(torch.ones(7))
    elif kind == "one more barrier":
        dist.barrier()


class Faulty:
    """A small regression with repeated blocks."""

    def __init__(self, kind: str = "", rank: int = 0, place: str = "", step: int = 1) -> None:
        self.kind, self.rank, self.place, self.step = kind, rank, place, step
        self.steps = 0

    def at(self, place: str) -> None:
        """Called wherever something may go wrong."""
        if place != self.place or dist.get_rank() != self.rank:
            return
        if place in ("forward", "backward", "optimizer") and self.steps != self.step:
            return
        if place == "data" and self.steps < self.step:  # no batch is fetched for a repeated step
            return
        go_wrong(self.kind)

    def space(self) -> dict[str, Any]:
        return {"layers": [2, 3]}

    def model(self, config: Mapping[str, Any]) -> nn.Module:
        if config.get("parallel") != "fsdp":  # which builds on the host, without a budget
            self.at("build")
        blocks = [Block() for _ in range(config["layers"])]
        return nn.Sequential(nn.Linear(FEATURES, WIDTH), *blocks, nn.Linear(WIDTH, FEATURES))

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        if any("DTensor" in type(p.data).__name__ for p in model.parameters()):
            self.at("build")
        return Watched(model, self)

    def batches(self, config: Mapping[str, Any], batch_size: int) -> Iterator[Tensor]:
        here = dist.get_rank() == self.rank
        while True:
            self.at("data")
            if here and self.kind == "data end" and self.steps >= self.step:
                return
            yield torch.randn(batch_size, FEATURES)

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        self.steps += 1
        here = dist.get_rank() == self.rank
        self.at("forward")
        loss = (model(batch) - batch).square().mean()
        if here and self.kind == "leak":
            kept.append(torch.ones(LEAKED))
        if here and self.kind == "not a number" and self.steps == self.step:
            loss = loss * float("nan")
        result: Tensor = _InBackward.apply(loss, self)  # type: ignore[no-untyped-call]
        return result

    def evaluate(self, model: nn.Module, batch: Tensor) -> None:
        self.at("evaluate")
        model(batch)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.down(self.up(x).relu())
        return result


class _InBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, workload: Faulty) -> Tensor:
        ctx.workload = workload
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ctx.workload.at("backward")
        return gradients[0], None


class Watched(torch.optim.SGD):
    """An optimizer that tells the workload when it steps and when it is saved."""

    def __init__(self, model: nn.Module, workload: Faulty) -> None:
        super().__init__(model.parameters(), lr=0.01)
        self.workload = workload

    def step(self, closure: Any = None) -> Any:
        self.workload.at("optimizer")
        return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        self.workload.at("checkpoint")
        return super().state_dict()
