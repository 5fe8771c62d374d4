"""Trains a residual network on handwritten digits, in a loop of its own.

python train_argparse.py --layers 2 --width 64 --batch-size 128
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU())
        self.out = nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.out(self.layers(x))


def build(layers, width):
    blocks = [Block(width) for _ in range(layers)]
    return nn.Sequential(nn.Linear(64, width), *blocks, nn.Linear(width, 10))


def digits():
    data = load_digits()  # scikit-learn brings its 1,797 images along
    images = torch.tensor(data.data / 16, dtype=torch.float32)
    return TensorDataset(images, torch.tensor(data.target))


def loss_of(model, batch):
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = build(given.layers, given.width).to(device)
    optimizer = torch.optim.AdamW(model.parameters())
    loader = DataLoader(digits(), batch_size=given.batch_size, shuffle=True)
    steps = 0
    for epoch in range(given.epochs):
        total = 0.0
        for number, batch in enumerate(loader, start=1):
            loss = loss_of(model, [tensor.to(device) for tensor in batch])
            (loss / given.accumulation).backward()
            if number % given.accumulation == 0 or number == len(loader):
                optimizer.step()
                optimizer.zero_grad()
                steps += 1
                if steps % 10 == 0:
                    print(f"step {steps}: loss {loss.item():.4f}", flush=True)
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(loader):.4f}", flush=True)


if __name__ == "__main__":
    main()
