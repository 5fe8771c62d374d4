"""A small training with DDP on CPU ranks, in which rank 1 goes wrong as asked.

It is started by ``torchrun``, or starts its ranks itself (``--spawn 2``).
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

MIB = 2**20
GOES_WRONG_AT = 4
os.environ["GLOO_SOCKET_IFNAME"] = "lo"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--mode", default="healthy")
    parser.add_argument("--name", default="")
    parser.add_argument("--spawn", type=int, default=0)
    parser.add_argument("--prints", choices=("one", "all", "named"), default="one")
    parser.add_argument("--extra-mib", type=int, default=0)
    asked = parser.parse_args()
    if not asked.spawn:
        train(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), asked)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free.getsockname()[1]))
    torch.multiprocessing.spawn(train, (asked.spawn, asked), nprocs=asked.spawn)


def train(rank: int, ranks: int, asked: argparse.Namespace) -> None:
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    model = DistributedDataParallel(torch.nn.Linear(256, 64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    kept = [torch.ones(asked.extra_mib * MIB // 4)] if rank == 1 else []
    if asked.mode == "starts-others":
        sleep = "import time; time.sleep(600)"
        other = subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
        print("started", other.pid, flush=True)
    for step in range(1, 10_000):
        if rank == 1 and step == GOES_WRONG_AT:
            go_wrong(asked.mode, kept)
        batch = torch.randn(asked.batch_size * MIB // 1024, 256)
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
        if rank == 0 or asked.prints != "one":
            name = f"[rank{rank}]: " if asked.prints == "named" else ""
            print(f"{name}step {step} loss {loss.item()}", flush=True)
        time.sleep(0.02)


def go_wrong(mode: str, kept: list[torch.Tensor]) -> None:
    if mode == "oom":
        kept.append(torch.ones(2**40))
    elif mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "raises":
        raise ValueError("labels are missing")
    elif mode == "hangs":
        time.sleep(600)


if __name__ == "__main__":
    main()
