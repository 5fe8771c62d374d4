"""A text classifier in a plain loop with a tqdm bar over all steps, as accelerate's examples have
it: sentences of every length, padded to the longest of their batch, and a metric per epoch."""

from __future__ import annotations

import argparse

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

parser = argparse.ArgumentParser()
parser.add_argument("--per_device_train_batch_size", type=int, default=16)
parser.add_argument("--num_train_epochs", type=int, default=1_000)
args = parser.parse_args()
torch.manual_seed(3)
generator = torch.Generator().manual_seed(4)
lengths = torch.randint(8, 96, (2_000,), generator=generator)
rows = [torch.randint(1, 3_000, (int(n),), generator=generator) for n in lengths]


def collate(batch: list[torch.Tensor]) -> torch.Tensor:
    return nn.utils.rnn.pad_sequence(batch, batch_first=True)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3_000, 96, padding_idx=0)
        layer = nn.TransformerEncoderLayer(96, 4, 256, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(96, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(x)).mean(1))


accelerator = Accelerator(cpu=True)
loader = DataLoader(rows, args.per_device_train_batch_size, shuffle=True, collate_fn=collate)
model = Classifier()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
total = args.num_train_epochs * len(loader)
print("***** Running training *****")
print(f"  Num examples = {len(rows)}")
print(f"  Instantaneous batch size per device = {args.per_device_train_batch_size}")
print(f"  Total optimization steps = {total}")
progress_bar = tqdm(range(total))
for epoch in range(args.num_train_epochs):
    model.train()
    for batch in loader:
        loss = nn.functional.cross_entropy(model(batch), (batch.sum(1) % 2).long())
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        progress_bar.update(1)
    model.eval()
    with torch.no_grad():
        correct = sum(int(model(r[None]).argmax() == r.sum() % 2) for r in rows[:64])
    print(f"epoch {epoch}: {{'accuracy': {correct / 64}}}")
