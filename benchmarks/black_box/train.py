"""An ordinary training script: what somebody has who never heard of Tonnage.

It trains the models of ``benchmarks/workloads.py``, so that the same model can be measured as a
workload and as a command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from benchmarks import workloads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=10_000)
    for name in ("layers", "width", "blocks", "channels"):
        parser.add_argument(f"--{name}", type=int)
    asked = parser.parse_args()
    config = {name: value for name, value in vars(asked).items() if isinstance(value, int)}
    torch.manual_seed(0)

    workload = getattr(workloads, asked.model)()
    model = workload.model(config)
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    for step, batch in enumerate(workload.batches(config, asked.batch_size), start=1):
        loss = workload.loss(model, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {step} loss {loss.item():.4f}")
        if step >= asked.epochs * 450:
            break


if __name__ == "__main__":
    main()
