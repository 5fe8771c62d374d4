"""Workloads that go wrong in one way each, for real. Run by real workers, never imported here."""

import os
import signal
import sys
import time

import torch
from torch import nn


class Healthy:
    """A small regression whose memory grows with the batch."""

    def space(self):
        return {"width": [64, 128, 256]}

    def model(self, config):
        width = config["width"]
        return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 64))

    def batches(self, config, batch_size):
        generator = torch.Generator().manual_seed(0)
        while True:
            yield torch.randn(batch_size, 64, generator=generator)

    def loss(self, model, batch):
        return (model(batch) - batch).square().mean()


class Hungry(Healthy):
    """About 1 MiB per sample."""

    def loss(self, model, batch):
        wide = model(batch).repeat(1, 4096)
        return wide.sin().mean()


class HugeModel(Healthy):
    def model(self, config):
        return nn.Linear(16384, 32768)  # 2 GiB of weights


class KeepsActivations(Healthy):
    """A leak: one mebibyte per step stays alive."""

    kept = []

    def loss(self, model, batch):
        self.kept.append(torch.ones(2**18) * len(self.kept))
        return super().loss(model, batch)


class KeepsGraph(Healthy):
    """The classic: ``total_loss += loss`` keeps every step's graph and what hangs on it."""

    total = 0.0

    def loss(self, model, batch):
        scale = torch.full((2**19,), 1.0, requires_grad=True)
        loss = super().loss(model, batch)
        self.total = self.total + loss + 0 * scale.sum()
        return loss


class KeepsSmallPieces(Healthy):
    """A leak of 64 KiB per step, in pieces that the C library serves from the room it has."""

    kept = []

    def loss(self, model, batch):
        self.kept.extend(torch.ones(2**11) for _ in range(8))
        return super().loss(model, batch)


class OneLateBuffer(Healthy):
    """Not a leak: something is allocated once, late."""

    steps = 0
    late = None

    def loss(self, model, batch):
        self.steps += 1
        if self.steps == 9:
            self.late = torch.ones(2**20)
        return super().loss(model, batch)


class HungryEvaluation(Healthy):
    """Training fits easily; evaluation takes 300 MiB."""

    def evaluate(self, model, batch):
        return torch.ones(300 * 2**18).sum()


class Nan(Healthy):
    steps = 0

    def loss(self, model, batch):
        self.steps += 1
        loss = super().loss(model, batch)
        return loss * float("nan") if self.steps > 3 else loss


class Hangs(Healthy):
    def loss(self, model, batch):
        while True:
            time.sleep(0.05)


class HangsAbove16(Healthy):
    def loss(self, model, batch):
        while len(batch) > 16:
            time.sleep(0.05)
        return super().loss(model, batch)


class HangsInBatches(Healthy):
    def batches(self, config, batch_size):
        yield from [torch.zeros(batch_size, 64)] * 2
        while True:
            time.sleep(0.05)


class Aborts(Healthy):
    def loss(self, model, batch):
        print("about to abort", file=sys.stderr)
        os.abort()


class Killed(Healthy):
    def loss(self, model, batch):
        os.kill(os.getpid(), signal.SIGKILL)


class Segfaults(Healthy):
    def loss(self, model, batch):
        import ctypes

        ctypes.string_at(0)


class Exits(Healthy):
    def loss(self, model, batch):
        sys.exit(7)


class Bug(Healthy):
    def loss(self, model, batch):
        return model(batch) @ torch.zeros(3, 3)


class BadPrimitive(Healthy):
    """Not memory: the words that only look like it."""

    def loss(self, model, batch):
        raise ValueError("out of memory cards, says the user's own code")


class ShapeLimit(Healthy):
    """A kernel that cannot handle more than 2^24 categories, however much memory there is."""

    def loss(self, model, batch):
        if not hasattr(self, "drawn"):  # once is enough, and it is slow
            self.drawn = torch.multinomial(torch.ones(1).expand(batch.shape[0] * 2**18), 1)
        return super().loss(model, batch)


class Spills(Healthy):
    """Pushes its own pages out to swap while it trains."""

    def loss(self, model, batch):
        import mmap

        if not hasattr(self, "pages"):
            self.pages = mmap.mmap(-1, 32 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for offset in range(0, len(self.pages), mmap.PAGESIZE):
                self.pages[offset] = 1
        madvise_pageout = 21
        self.pages.madvise(madvise_pageout)
        return super().loss(model, batch)


class Half(Healthy):
    """Asks a kernel for something this device cannot do."""

    def loss(self, model, batch):
        return torch.linalg.cholesky(torch.eye(4).half()).sum()


class FiniteData(Healthy):
    """Forty samples, and an iterator that ends."""

    def batches(self, config, batch_size):
        for _ in range(40 // batch_size):
            yield torch.zeros(batch_size, 64)


class Noisy(Healthy):
    """Prints JSON, nonsense and a lot of it, on both outputs, from Python and from below it."""

    def loss(self, model, batch):
        print('{"event": "result", "measurement": null}')
        os.write(1, b"\x00\xff raw bytes \n" * 400)
        print("warning " * 2000, file=sys.stderr)
        return super().loss(model, batch)


class GlobalState(Healthy):
    """Changes everything a process can change."""

    def model(self, config):
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(1)
        os.chdir("/")
        os.environ["MALLOC_MMAP_THRESHOLD_"] = "1"
        sys.stdout = None
        return super().model(config)


class Forks(Healthy):
    """Leaves a child process behind."""

    def model(self, config):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        return super().model(config)


class NotAModel(Healthy):
    def model(self, config):
        return {"layers": 3}


class NotALoss(Healthy):
    def loss(self, model, batch):
        return 0.5


class VectorLoss(Healthy):
    def loss(self, model, batch):
        return model(batch)


class DetachedLoss(Healthy):
    def loss(self, model, batch):
        return model(batch).mean().detach()


class NotBatches(Healthy):
    def batches(self, config, batch_size):
        return 3


class NotASpace(Healthy):
    def space(self):
        return ["layers"]


class NoLoss:
    def space(self):
        return {}

    def model(self, config):
        return nn.Linear(1, 1)

    def batches(self, config, batch_size):
        yield torch.zeros(1, 1)


class NeedsOption(Healthy):
    def __init__(self, data, rows=3):
        self.data = data


class DataDependent(Healthy):
    """The shapes of a step depend on values: nobody can know its memory without running it."""

    def loss(self, model, batch):
        return model(batch[batch[:, 0] > 0]).square().mean()


class SaysWhyNotEstimated(Healthy):
    """Knows that its steps cannot be followed on tensors without contents."""

    no_estimate = "its loss reads values"

    def model(self, config):
        raise AssertionError("nothing is built for an estimate that cannot be")


class LoadsMuch(Healthy):
    """What its libraries bring along is more than the budget: no part of what trains."""

    def __init__(self):
        self.libraries = torch.zeros(160 * 2**20 // 4)


class TellsItsProcess(Healthy):
    def model(self, config):
        print(f"process {os.getpid()} of {os.getppid()}", flush=True)
        return super().model(config)


class LateBurst(Hungry):
    """Every tenth step needs far more, as a validation inside the training loop would."""

    steps = 0

    def loss(self, model, batch):
        self.steps += 1
        if self.steps % 10 == 0:
            torch.ones(batch.shape[0], 2**18)  # a mebibyte per sample
        return super().loss(model, batch)


class VariableLength(Hungry):
    """Sequences of 16 to 64 elements; the longest first, as the interface asks."""

    def batches(self, config, batch_size):
        generator = torch.Generator().manual_seed(0)
        length = 64
        while True:
            yield torch.randn(batch_size, length, generator=generator)
            length = int(torch.randint(16, 65, (), generator=generator))

    def loss(self, model, batch):
        padded = nn.functional.pad(batch, (0, 64 - batch.shape[1]))
        wide = model(padded)[:, : batch.shape[1]].repeat(1, 4096)
        return wide.sin().mean()


class Contrastive(Healthy):
    """Every sample against every other: memory grows with the square of the batch."""

    def loss(self, model, batch):
        z = model(batch)
        return torch.logsumexp(z @ z.T, dim=1).mean()


class Creeps(Healthy):
    """What a fragmenting allocator does: the peak rises from step to step while nothing is held."""

    steps = 0

    def loss(self, model, batch):
        self.steps += 1
        torch.ones(self.steps * 2**18)
        return super().loss(model, batch)


class SameBatches(Healthy):
    """Whatever the batch size is."""

    def batches(self, config, batch_size):
        return super().batches(config, 32)


class ImportsALibrary(Healthy):
    """Says whether somebody has imported it before."""

    def __init__(self, variable: str = ""):
        if variable:
            os.environ[variable] = "set before the library reads it"
        print("imported before" if "wave" in sys.modules else "imported now")
        import wave  # noqa: F401
