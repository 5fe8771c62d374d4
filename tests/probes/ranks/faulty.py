"""Workloads that go wrong on one rank, each in one way. Run by real gangs, never imported here."""

import os
import signal
import sys
import time

import torch
import torch.distributed as dist
from torch import nn

RANK_AT_IMPORT = dist.get_rank() if dist.is_initialized() else None


def here(rank):
    """Whether this is the rank that goes wrong."""
    return dist.get_rank() == rank


def eat():
    """Ask for more memory than any budget here has."""
    return torch.ones(2**31)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x):
        return x + self.down(self.up(x).relu())


class Healthy:
    """A small regression with repeated blocks. ``rank``, ``at`` and ``step`` say who goes wrong,
    when."""

    def __init__(self, rank: int = 1, step: int = 3, width: int = 64):
        self.rank, self.step, self.width = rank, step, width
        self.steps = 0

    def space(self):
        return {"layers": [2, 3]}

    def model(self, config):
        blocks = [Block(self.width) for _ in range(config["layers"])]
        return nn.Sequential(nn.Linear(16, self.width), *blocks, nn.Linear(self.width, 16))

    def batches(self, config, batch_size):
        while True:
            yield torch.randn(batch_size, 16)

    def loss(self, model, batch):
        self.steps += 1
        if self.steps == self.step and here(self.rank):
            self.go_wrong()
        return (model(batch) - batch).square().mean()

    def go_wrong(self):
        pass


class HungryInForward(Healthy):
    def go_wrong(self):
        eat()


class HungryInBuild(Healthy):
    def model(self, config):
        if here(self.rank):
            eat()
        return super().model(config)


class EatsInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        eat()
        return grad


class HungryInBackward(Healthy):
    def loss(self, model, batch):
        loss = super().loss(model, batch)
        if self.steps == self.step and here(self.rank):
            loss = EatsInBackward.apply(loss)
        return loss


class Ravenous(torch.optim.SGD):
    def step(self, closure=None):
        if here(1):
            eat()
        return super().step(closure)


class HungryInOptimizer(Healthy):
    def optimizer(self, model):
        return Ravenous(model.parameters(), lr=0.01)


class HungryInEvaluation(Healthy):
    def evaluate(self, model, batch):
        if here(self.rank):
            eat()


class GreedyState(torch.optim.SGD):
    def state_dict(self):
        if here(1):
            eat()
        return super().state_dict()


class HungryInCheckpoint(Healthy):
    def optimizer(self, model):
        return GreedyState(model.parameters(), lr=0.01)


class Leaks(Healthy):
    kept = []

    def loss(self, model, batch):
        if here(self.rank):
            self.kept.append(torch.ones(2**18))
        return super().loss(model, batch)


class Hangs(Healthy):
    def go_wrong(self):
        while True:
            time.sleep(1)


class HangsInBuild(Healthy):
    def model(self, config):
        while here(self.rank):
            time.sleep(1)
        return super().model(config)


class Aborts(Healthy):
    def go_wrong(self):
        os.abort()


class Killed(Healthy):
    def go_wrong(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Stopped(Healthy):
    def go_wrong(self):
        os.kill(os.getpid(), signal.SIGSTOP)


class Exits(Healthy):
    def go_wrong(self):
        sys.exit(0)


class Raises(Healthy):
    def go_wrong(self):
        raise KeyError("labels")


class EndsEarly(Healthy):
    def batches(self, config, batch_size):
        many = self.step if here(self.rank) else 10**9
        for _ in range(many):
            yield torch.randn(batch_size, 16)


class NotANumber(Healthy):
    def loss(self, model, batch):
        loss = super().loss(model, batch)
        return loss * float("nan") if self.steps == self.step and here(self.rank) else loss


class CallsUnevenly(Healthy):
    """One rank calls a collective that the others do not."""

    def go_wrong(self):
        dist.all_reduce(torch.ones(7))


class CallsOneMore(Healthy):
    """One rank waits in a barrier."""

    def go_wrong(self):
        dist.barrier()


class LeavesChildren(Healthy):
    """One rank starts a process in a session of its own, and dies."""

    def go_wrong(self):
        import subprocess

        subprocess.Popen(["sleep", "600"], start_new_session=True)
        os.kill(os.getpid(), signal.SIGKILL)


class Planned(Healthy):
    """Divides its layers over the mesh's ``tp`` itself."""

    def model(self, config):
        blocks = nn.ModuleList(Block(self.width) for _ in range(config["layers"]))
        return nn.Sequential(nn.Linear(16, self.width), *blocks, nn.Linear(self.width, 16))

    def parallelize(self, model, mesh):
        from torch.distributed.tensor.parallel import (
            ColwiseParallel,
            RowwiseParallel,
            parallelize_module,
        )

        for block in model:
            if isinstance(block, Block):
                plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}
                parallelize_module(block, mesh["tp"], plan)


class Unused(Healthy):
    """A layer that no loss ever reaches."""

    def model(self, config):
        model = super().model(config)
        model[0].idle = nn.Linear(4, 4)
        return model


class CallsParts(Healthy):
    """The loss calls a layer of the model past the blocks' and the model's own forward."""

    def loss(self, model, batch):
        return (model[-1].weight.sum() * batch).square().mean() + super().loss(model, batch)


class TellsWeights(Healthy):
    """Raises unless the weights are those of one training on the samples of both ranks."""

    def model(self, config):
        model = nn.Linear(16, 1, bias=False)
        nn.init.zeros_(model.weight)
        return model

    def batches(self, config, batch_size):
        while True:  # every sample of rank 0 is 1, every one of rank 1 is 3
            yield torch.full((batch_size, 16), 1.0 + 2.0 * dist.get_rank())

    def loss(self, model, batch):
        self.steps += 1
        if self.steps == 2:
            # The gradient of the mean of the outputs is the mean sample: (12 * 1 + 4 * 3) / 16.
            expected = torch.full((1, 16), -0.1 * 1.5)
            torch.testing.assert_close(model.weight.detach(), expected)
        return model(batch).mean()

    def optimizer(self, model):
        return torch.optim.SGD(model.parameters(), lr=0.1)


class AsksAtImport(Healthy):
    """Wants to know its rank when its module is imported, as under torchrun."""

    def loss(self, model, batch):
        assert dist.get_rank() == RANK_AT_IMPORT == int(os.environ["RANK"])
        return super().loss(model, batch)


class Module(nn.Sequential):
    def training_step(self, batch):
        return (self[0](batch) - batch).square().mean()


class StepsByAMethod(Healthy):
    """Its loss never calls the model, but a method of it, as Lightning does."""

    def model(self, config):
        return Module(nn.Linear(16, 16))

    def loss(self, model, batch):
        return model.training_step(batch)
