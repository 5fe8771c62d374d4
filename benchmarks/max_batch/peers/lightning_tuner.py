"""Lightning's ``Tuner.scale_batch_size``, with its defaults.

But for ``margin``: bisection takes 5 % off what it found by default. Here the headroom is part of
the limit already, for everybody, so that Lightning is compared at equal headroom.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.tuner import Tuner
from torch.utils.data import DataLoader

from benchmarks.max_batch.peers.trainee import Trainee


def power(trainee: Trainee) -> int:
    return _scale(trainee, mode="power")


def binsearch(trainee: Trainee) -> int:
    return _scale(trainee, mode="binsearch", margin=0.0)


def _scale(trainee: Trainee, **how: Any) -> int:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu" if trainee.device == "cpu" else "auto",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        found = Tuner(trainer).scale_batch_size(_Module(trainee), **how)
    if found is None:
        raise RuntimeError("the tuner returned no batch size")
    return found


class _Module(pl.LightningModule):
    def __init__(self, trainee: Trainee) -> None:
        super().__init__()
        self.trainee = trainee
        self.model = trainee.model()
        self.batch_size = 2

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        loss: torch.Tensor = self.trainee.workload.loss(self.model, batch)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.trainee.optimizer(self.model)

    def train_dataloader(self) -> DataLoader[Any]:
        return self.trainee.loader(self.batch_size)
