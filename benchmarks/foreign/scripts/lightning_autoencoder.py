"""An autoencoder as a LightningModule: Lightning's own bar, a validation per epoch with its own."""

from __future__ import annotations

import argparse
import tempfile

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=64)
parser.add_argument("--max_epochs", type=int, default=10_000)
args = parser.parse_args()


class AutoEncoder(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 8, 3, 2, 1)
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(8, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 1, 3, padding=1)
        )

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = nn.functional.mse_loss(self.decoder(self.encoder(batch[0])), batch[0])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        loss = nn.functional.mse_loss(self.decoder(self.encoder(batch[0])), batch[0])
        self.log("val_loss", loss, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def images(count: int) -> TensorDataset:
    return TensorDataset(torch.randn(count, 1, 28, 28))


with tempfile.TemporaryDirectory() as folder:
    trainer = L.Trainer(
        max_epochs=args.max_epochs, accelerator="cpu", logger=False, default_root_dir=folder
    )
    trainer.fit(
        AutoEncoder(),
        DataLoader(images(4_000), args.batch_size, shuffle=True),
        DataLoader(images(256), 64),
    )
