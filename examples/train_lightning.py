"""Trains a small convolutional network on handwritten digits, with Lightning.

    python train_lightning.py fit --config lightning.yaml --trainer.max_epochs 2

The file is what ``tonnage export latest --to lightning`` writes.
"""

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import LightningCLI
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class ConvNet(pl.LightningModule):
    def __init__(self, layers: int = 2, channels: int = 16):
        super().__init__()
        sizes = [1, *[channels] * layers]
        blocks = [
            layer
            for before, after in zip(sizes, sizes[1:])
            for layer in (nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())
        ]
        pool = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 10)]
        self.net = nn.Sequential(*blocks, *pool)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = nn.functional.cross_entropy(self.net(images), labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())


class Digits(pl.LightningDataModule):
    def __init__(self, batch_size: int = 32):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage):
        data = load_digits()  # scikit-learn brings its 1,797 images along
        images = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
        self.images = TensorDataset(images, torch.tensor(data.target))

    def train_dataloader(self):
        return DataLoader(self.images, batch_size=self.batch_size, shuffle=True)


if __name__ == "__main__":
    LightningCLI(ConvNet, Digits, save_config_callback=None)
