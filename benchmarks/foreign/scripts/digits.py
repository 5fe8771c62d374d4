"""A convolutional classifier of 28 × 28 images, trained as the MNIST example trains: a line each
ten batches that counts *samples*, and a test after each epoch.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--test-batch-size", type=int, default=512)
parser.add_argument("--epochs", type=int, default=10_000)
parser.add_argument("--log-interval", type=int, default=10)
args = parser.parse_args()
torch.manual_seed(1)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)
        self.fc1, self.fc2 = nn.Linear(2304, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.dropout(torch.flatten(x, 1), 0.5, self.training)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


def images(count: int) -> TensorDataset:
    return TensorDataset(torch.randn(count, 1, 28, 28), torch.randint(0, 10, (count,)))


train_loader = DataLoader(images(6_000), args.batch_size, shuffle=True)
test_loader = DataLoader(images(512), args.test_batch_size)
model = Net()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
for epoch in range(1, args.epochs + 1):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            seen, total = batch_idx * len(data), len(train_loader.dataset)
            share = 100.0 * batch_idx / len(train_loader)
            print(f"Train Epoch: {epoch} [{seen}/{total} ({share:.0f}%)]\tLoss: {loss.item():.6f}")
    model.eval()
    test_loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in test_loader:
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            correct += int((output.argmax(1) == target).sum())
    test_loss /= 512
    print(
        f"\nTest set: Average loss: {test_loss:.4f}, Accuracy: {correct}/512 "
        f"({100.0 * correct / 512:.0f}%)\n"
    )
