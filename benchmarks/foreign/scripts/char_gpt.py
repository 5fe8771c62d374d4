"""A small character-level GPT, trained as nanoGPT trains: an evaluation every so often, a line each
ten iterations, a checkpoint after the evaluation. It has never heard of Tonnage."""

from __future__ import annotations

import argparse
import io
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
for name, default in (
    ("batch_size", 12),
    ("block_size", 64),
    ("n_layer", 3),
    ("n_head", 4),
    ("n_embd", 48),
    ("max_iters", 100_000),
    ("eval_interval", 60),
    ("eval_iters", 2),
    ("log_interval", 10),
):
    parser.add_argument(f"--{name}", type=int, default=default)
args = parser.parse_args()

torch.manual_seed(1337)
VOCABULARY = 65
data = torch.randint(0, VOCABULARY, (200_000,))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(args.n_embd), nn.LayerNorm(args.n_embd)
        self.attn = nn.Linear(args.n_embd, 3 * args.n_embd)
        self.proj = nn.Linear(args.n_embd, args.n_embd)
        self.mlp = nn.Sequential(
            nn.Linear(args.n_embd, 4 * args.n_embd),
            nn.GELU(),
            nn.Linear(4 * args.n_embd, args.n_embd),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        heads = self.attn(self.ln_1(x)).view(b, t, 3, args.n_head, c // args.n_head)
        q, k, v = (part.transpose(1, 2) for part in heads.unbind(2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, args.n_embd)
        self.wpe = nn.Embedding(args.block_size, args.n_embd)
        self.blocks = nn.Sequential(*(Block() for _ in range(args.n_layer)))
        self.head = nn.Linear(args.n_embd, VOCABULARY, bias=False)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        h = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        logits = self.head(self.blocks(h))
        return F.cross_entropy(logits.view(-1, VOCABULARY), y.reshape(-1))


def get_batch() -> tuple[torch.Tensor, torch.Tensor]:
    starts = torch.randint(len(data) - args.block_size - 1, (args.batch_size,))
    x = torch.stack([data[i : i + args.block_size] for i in starts])
    y = torch.stack([data[i + 1 : i + 1 + args.block_size] for i in starts])
    return x, y


@torch.no_grad()
def estimate_loss() -> dict[str, float]:
    model.eval()
    out = {}
    for split in ("train", "val"):
        out[split] = sum(model(*get_batch()).item() for _ in range(args.eval_iters))
        out[split] /= args.eval_iters
    model.train()
    return out


model = GPT()
print(f"number of parameters: {sum(p.numel() for p in model.parameters()) / 1e6:.2f}M")
tokens = args.batch_size * args.block_size
print(f"tokens per iteration will be: {tokens:,}")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
before = time.time()
for iter_num in range(args.max_iters):
    lr = 1e-3 * 0.5 * (1 + math.cos(math.pi * iter_num / args.max_iters))
    for group in optimizer.param_groups:
        group["lr"] = lr
    if iter_num % args.eval_interval == 0:
        losses = estimate_loss()
        print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")
        if iter_num > 0:
            print("saving checkpoint to out-char")
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, io.BytesIO())
    loss = model(*get_batch())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    now = time.time()
    if iter_num % args.log_interval == 0:
        took_ms = (now - before) * 1000
        print(f"iter {iter_num}: loss {loss.item():.4f}, time {took_ms:.2f}ms, mfu -100.00%")
    before = now
