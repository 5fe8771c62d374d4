"""Lightning's ``Tuner.scale_batch_size`` with two devices and its DDP strategy."""

from __future__ import annotations

import os
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.tuner import Tuner
from torch.utils.data import DataLoader, IterableDataset
from trainee import ASKED, Trainee


class Stream(IterableDataset[Any]):
    def __init__(self, trainee: Trainee, batch_size: int) -> None:
        self.trainee, self.batch_size = trainee, batch_size

    def __iter__(self) -> Any:
        return self.trainee.batches(self.batch_size)


class Module(pl.LightningModule):
    def __init__(self, trainee: Trainee) -> None:
        super().__init__()
        self.trainee = trainee
        self.model = trainee.model()
        self.batch_size = 2

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        return self.trainee.loss(self.model, batch, self.batch_size)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.trainee.optimizer(self.model)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Stream(self.trainee, self.batch_size), batch_size=None)


def main() -> None:
    trainee = Trainee(int(os.environ.get("LOCAL_RANK", "0")), 2)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=ASKED["folder"],
    )
    trainee.limit()
    found = Tuner(trainer).scale_batch_size(Module(trainee), mode="binsearch")
    trainee.lift()
    trainee.tell({"found": found})


if __name__ == "__main__":
    main()
