"""A user's file: training with Lightning, made a workload."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from texts import SPACE, TEXTS, Classifier, pad
from torch import Tensor
from torch.utils.data import DataLoader

from probes.adapters import from_lightning


class Module(pl.LightningModule):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = Classifier(width)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        loss = self.net(**batch)["loss"]
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        print("validated", tuple(batch["tokens"].shape))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class Data(pl.LightningDataModule):
    def setup(self, stage: str) -> None:
        self.texts = TEXTS

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.texts, batch_size=4, shuffle=True, collate_fn=pad)


workload = from_lightning(lambda config: (Module(config["width"]), Data()), SPACE)
