"""A word-level LSTM language model, trained as the word_language_model example trains.

The state is carried from batch to batch; there is a line each twenty batches, and an evaluation and
a checkpoint per epoch.
"""

from __future__ import annotations

import argparse
import io
import math
import time

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=20)
parser.add_argument("--bptt", type=int, default=35)
parser.add_argument("--emsize", type=int, default=96)
parser.add_argument("--nhid", type=int, default=96)
parser.add_argument("--nlayers", type=int, default=2)
parser.add_argument("--epochs", type=int, default=1_000)
parser.add_argument("--log-interval", type=int, default=20)
args = parser.parse_args()
torch.manual_seed(1111)
WORDS, TOKENS = 2_000, 150_000


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(WORDS, args.emsize)
        self.rnn = nn.LSTM(args.emsize, args.nhid, args.nlayers, dropout=0.2)
        self.decoder = nn.Linear(args.nhid, WORDS)

    def forward(self, x: torch.Tensor, hidden: tuple[torch.Tensor, ...] | None):
        output, hidden = self.rnn(self.encoder(x), hidden)
        return self.decoder(output).view(-1, WORDS), hidden


def batchify(tokens: torch.Tensor, columns: int) -> torch.Tensor:
    rows = len(tokens) // columns
    return tokens[: rows * columns].view(columns, rows).t().contiguous()


corpus = torch.randint(0, WORDS, (TOKENS,))
train_data, val_data = batchify(corpus, args.batch_size), batchify(corpus[:20_000], 10)
model, criterion, lr = Model(), nn.CrossEntropyLoss(), 20.0


def evaluate() -> float:
    model.eval()
    total, hidden = 0.0, None
    with torch.no_grad():
        for i in range(0, len(val_data) - 1, args.bptt):
            length = min(args.bptt, len(val_data) - 1 - i)
            output, hidden = model(val_data[i : i + length], hidden)
            total += length * criterion(output, val_data[i + 1 : i + 1 + length].view(-1)).item()
    model.train()
    return total / (len(val_data) - 1)


for epoch in range(1, args.epochs + 1):
    began = start = time.time()
    total_loss, hidden = 0.0, None
    for batch, i in enumerate(range(0, len(train_data) - 1, args.bptt)):
        length = min(args.bptt, len(train_data) - 1 - i)
        if hidden is not None:
            hidden = tuple(h.detach() for h in hidden)
        model.zero_grad()
        output, hidden = model(train_data[i : i + length], hidden)
        loss = criterion(output, train_data[i + 1 : i + 1 + length].view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        total_loss += loss.item()
        if batch % args.log_interval == 0 and batch > 0:
            mean, took = total_loss / args.log_interval, time.time() - start
            print(
                f"| epoch {epoch:3d} | {batch:5d}/{len(train_data) // args.bptt:5d} batches | "
                f"lr {lr:02.2f} | ms/batch {took * 1000 / args.log_interval:5.2f} | "
                f"loss {mean:5.2f} | ppl {math.exp(mean):8.2f}"
            )
            total_loss, start = 0.0, time.time()
    val_loss = evaluate()
    print("-" * 89)
    print(
        f"| end of epoch {epoch:3d} | time: {time.time() - began:5.2f}s | "
        f"valid loss {val_loss:5.2f} | valid ppl {math.exp(val_loss):8.2f}"
    )
    print("-" * 89)
    torch.save(model.state_dict(), io.BytesIO())
    lr = max(lr / 4.0, 0.01)
