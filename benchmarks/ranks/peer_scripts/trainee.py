"""What the peers' scripts share: the workload, a memory limit for this rank, and what it did."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

ASKED = json.loads(os.environ["TONNAGE_BENCHMARK_PEER"])
"""``spec``, ``config``, ``caps_bytes`` per rank, ``start``, ``steps`` and ``folder``."""


class Trainee:
    """The workload, with every step that is begun counted."""

    def __init__(self, rank: int, ranks: int) -> None:
        path, _, name = ASKED["spec"].rpartition(":")
        spec = importlib.util.spec_from_file_location("trained", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.workload = getattr(module, name)()
        self.config: dict[str, Any] = ASKED["config"]
        self.rank, self.ranks = rank, ranks
        self.samples = 0
        self.counts = False

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        model: nn.Module = self.workload.model(self.config)
        return model

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters())

    def batches(self, batch_size: int) -> Iterator[Any]:
        """The worst case first, and again after it, when the optimizer has its state."""
        batches = self.workload.batches(self.config, batch_size)
        worst = next(batches)
        yield worst
        yield worst
        yield from batches

    def loss(self, model: nn.Module, batch: Any, batch_size: int) -> torch.Tensor:
        if self.counts:
            self.samples += batch_size
            self.tell({"found": None})
        loss: torch.Tensor = self.workload.loss(model, batch)
        return loss

    def limit(self) -> None:
        """From here on, the memory of this rank is limited, and its steps count."""
        cap = ASKED["caps_bytes"][self.rank]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        mapped = pages * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (mapped + cap, hard))
        self.counts = True

    def lift(self) -> None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

    def tell(self, answer: dict[str, Any]) -> None:
        """What this rank has done so far; the last word counts."""
        said = {**answer, "ranks": self.ranks, "samples": self.samples}
        Path(ASKED["folder"], f"rank-{self.rank}.json").write_text(json.dumps(said))
