"""What gloo takes by itself: forks of a process that has torch, one per rank, that meet, exchange a
number and part. Prints seconds, from before the first fork to the end of the last.

``python gloo_start.py RANKS``
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist


def meet(rank: int, ranks: int, file: Path) -> None:
    store = dist.FileStore(str(file), ranks)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    number = torch.ones(1)
    dist.all_reduce(number)
    assert number.item() == ranks
    dist.destroy_process_group()


def main(ranks: int) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        children = []
        for rank in range(ranks):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    meet(rank, ranks, Path(folder, "store"))
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        seconds = time.perf_counter() - began_s
    if any(ended):
        sys.exit(f"the ranks ended with {ended}")
    print(seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]))
