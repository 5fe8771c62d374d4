"""A training script that prints every few steps, and evaluates and writes checkpoints in between.

It uses memory for a part of each step only, and keeps some of each step when asked to leak.
"""

from __future__ import annotations

import argparse
import time

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--leak-kib", type=int, default=0)
    parser.add_argument("--step-s", type=float, default=0.01)
    parser.add_argument("--prints-every", type=int, default=5)
    parser.add_argument("--evaluates-every", type=int, default=40)
    asked = parser.parse_args()
    kept = []
    for step in range(1, 100_000):
        inputs = b"i" * (asked.batch_size * MIB // 2)
        time.sleep(asked.step_s / 3)
        gradients = b"g" * (asked.batch_size * MIB // 2)
        time.sleep(asked.step_s / 3)
        kept.append(b"k" * (asked.leak_kib * 1024))
        del inputs, gradients
        time.sleep(asked.step_s / 3)
        if asked.evaluates_every and step % asked.evaluates_every == 0:
            print(f"step {step}: evaluating")
            batch = b"e" * (asked.batch_size * MIB + 4 * MIB)
            time.sleep(5 * asked.step_s)
            del batch
            print(f"val loss {1 / step:.4f}\nsaving a checkpoint")
            checkpoint = b"c" * (2 * MIB)
            time.sleep(asked.step_s)
            del checkpoint
        if step % asked.prints_every == 0:
            print(f"iter {step}: loss {1 / step:.4f}, time {asked.step_s * 1000:.2f}ms")


if __name__ == "__main__":
    main()
