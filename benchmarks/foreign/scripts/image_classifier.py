"""An image classifier with meters, trained as the ImageNet example trains: epochs, batches, data
time, two accuracies, a validation with meters of the same form, a checkpoint per epoch."""

from __future__ import annotations

import argparse
import io
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("-b", "--batch-size", type=int, default=32)
parser.add_argument("--epochs", type=int, default=10_000)
parser.add_argument("-p", "--print-freq", type=int, default=5)
args = parser.parse_args()
torch.manual_seed(0)


class AverageMeter:
    def __init__(self, name: str, form: str) -> None:
        self.name, self.form = name, form
        self.val = self.sum = self.count = 0.0

    def update(self, value: float, n: int = 1) -> None:
        self.val, self.sum, self.count = value, self.sum + value * n, self.count + n

    def __str__(self) -> str:
        return f"{self.name} {self.val:{self.form}} ({self.sum / self.count:{self.form}})"


def block(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


model = nn.Sequential(
    block(3, 8, 1),
    block(8, 16, 2),
    block(16, 16, 1),
    block(16, 32, 2),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(32, 100),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)


def images(count: int) -> TensorDataset:
    return TensorDataset(torch.randn(count, 3, 64, 64), torch.randint(0, 100, (count,)))


train_loader = DataLoader(images(1_500), args.batch_size, shuffle=True, drop_last=True)
val_loader = DataLoader(images(320), 4 * args.batch_size)


def run(loader: DataLoader, prefix: str, *, training: bool) -> None:
    batch_time, data_time = AverageMeter("Time", "6.3f"), AverageMeter("Data", "6.3f")
    losses, top1 = AverageMeter("Loss", ".4e"), AverageMeter("Acc@1", "6.2f")
    model.train(training)
    end = time.time()
    for i, (batch, target) in enumerate(loader):
        data_time.update(time.time() - end)
        with torch.set_grad_enabled(training):
            output = model(batch)
            loss = criterion(output, target)
        losses.update(loss.item(), len(batch))
        top1.update(100.0 * (output.argmax(1) == target).float().mean().item(), len(batch))
        if training:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        batch_time.update(time.time() - end)
        end = time.time()
        if i % args.print_freq == 0:
            meters = [batch_time, *([data_time] if training else []), losses, top1]
            width = len(str(len(loader)))
            print("\t".join([f"{prefix}[{i + 1:{width}d}/{len(loader)}]", *map(str, meters)]))


for epoch in range(args.epochs):
    run(train_loader, f"Epoch: [{epoch}]", training=True)
    run(val_loader, "Test: ", training=False)
    print(" *   Acc@1 1.000 Acc@5 5.000")
    state = {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, io.BytesIO())
