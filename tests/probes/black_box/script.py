"""A training script without a framework: it allocates, prints steps, and goes wrong as asked."""

from __future__ import annotations

import argparse
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--mode", default="healthy")
    parser.add_argument("--sample-mib", type=float, default=1.0)
    parser.add_argument("--leak-kib", type=int, default=1024)
    parser.add_argument("--leak-every", type=int, default=1, help="steps; its pages are resident")
    parser.add_argument("--leaks-once", default="", help="a file: from the second run on, no leak")
    parser.add_argument("--leak-steps", type=int, default=10_000, help="memory grows no longer")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--log", default="")
    parser.add_argument("--note", default="")
    parser.add_argument("--line", default="step %(step)d loss %(loss)s %(note)s")
    parser.add_argument("--evaluates-every", type=int, default=0)
    parser.add_argument("--out", default="", help="a folder that must not be there")
    asked = parser.parse_args()
    if asked.out:
        Path(asked.out).mkdir()
    batch = {"ignores": 4, "few-samples": min(32, asked.batch_size)}.get(
        asked.mode, asked.batch_size
    )
    begin(asked)
    kept = []
    hangs_at = {"hangs": 5, "hangs-above-16": 1 if batch > 16 else 0}.get(asked.mode)
    for step in range(1, asked.steps + 1):
        began_s = time.perf_counter()
        if asked.mode == "halves-at-12" and step == 12:
            batch //= 2
            print(f"WARNING: out of memory, reducing batch size to {batch}")
        if asked.mode == "refused-at-12" and step == 12:
            raise RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 62128128 bytes."
            )
        data = mmap.mmap(-1, int(batch * asked.sample_mib * MIB))
        if asked.mode == "leaks" and step <= asked.leak_steps and step % asked.leak_every == 0:
            kept.append(mmap.mmap(-1, int(asked.leak_kib * 1024)))
            if asked.leak_every > 1:
                kept[-1].write(b"x" * int(asked.leak_kib * 1024))
        if step == hangs_at:
            time.sleep(600)
        while time.perf_counter() - began_s < 0.002 + 0.0001 * batch:
            pass
        data.close()
        if asked.mode == "silent":
            print("training...")
            time.sleep(0.01)
        elif asked.log:
            with Path(asked.log).open("a") as log:
                record = f'{{"step": {step}, "loss": {1 / step}}}'
                is_text = asked.log.endswith(".log")
                log.write(f"12:00:01 step {step} loss {1 / step}\n" if is_text else f"{record}\n")
        else:
            is_nan = {
                "diverges": step > 3,
                "diverges-at-once": True,
                "fills-a-buffer": step < 5,
            }.get(asked.mode, False)
            loss = "nan" if is_nan else f"{1 / step:.3f}"
            if asked.evaluates_every and step % asked.evaluates_every == 1:
                print(f"step {step}: train loss 1.0, val loss 1.1")
            print(asked.line % {"step": step, "loss": loss, "note": asked.note})


def begin(asked: argparse.Namespace) -> None:
    """What goes wrong, or is started, before the first step."""
    if asked.mode == "crashes":
        raise ValueError("labels are missing")
    if asked.mode == "killed":
        os.kill(os.getpid(), 9)
    if asked.mode == "starts-others":
        sleep = "import time; time.sleep(600)"
        for new_session in (False, True):
            other = subprocess.Popen([sys.executable, "-c", sleep], start_new_session=new_session)
            print("started", other.pid)
    if asked.leaks_once:
        asked.mode = "healthy" if Path(asked.leaks_once).exists() else "leaks"
        Path(asked.leaks_once).touch()


if __name__ == "__main__":
    main()
