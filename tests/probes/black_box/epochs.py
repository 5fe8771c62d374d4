"""A training script without a framework that prints samples as the MNIST example does, and whose
evaluation at the end of each epoch takes memory of its own."""

from __future__ import annotations

import argparse
import mmap
import time

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--evaluation-mib", type=int, default=0)
    parser.add_argument("--evaluation-s", type=float, default=0.0)
    parser.add_argument("--step-s", type=float, default=0.002)
    asked = parser.parse_args()
    for epoch in range(1, 10_000):
        for seen in range(0, asked.samples, asked.batch_size):
            batch = mmap.mmap(-1, asked.batch_size * MIB)
            time.sleep(asked.step_s)
            batch.close()
            print(f"Train Epoch: {epoch} [{seen}/{asked.samples} (0%)]\tLoss: {1 / epoch:.6f}")
        evaluation = mmap.mmap(-1, (asked.evaluation_mib or 1) * MIB)
        time.sleep(asked.evaluation_s)
        evaluation.close()
        print("\nTest set: Average loss: 0.4, Accuracy: 90/100 (90%)\n")


if __name__ == "__main__":
    main()
