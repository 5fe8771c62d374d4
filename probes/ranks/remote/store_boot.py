"""Hosts the store where the ranks of a gang on several hosts meet. In the user's interpreter.

``python store_boot.py HOST PORT LISTENING_FD``, run by path. It outlives every rank: the process
that started it ends it. It gets a socket that listens already, because torch would listen on every
interface of the host.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path


def main(host: str, port: int, listening_fd: int) -> None:
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if entry != here]  # its modules are not torch's
    import torch.distributed as dist

    stores = vars(dist)  # it has them, without saying so
    store = stores["TCPStore"](
        host, port, is_master=True, wait_for_workers=False, master_listen_fd=listening_fd
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while store is not None:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
