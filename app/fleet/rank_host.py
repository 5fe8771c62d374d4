"""The process that starts ranks on a node for a gang whose parent is on another one:
``python -P -m app.fleet.rank_host ADDRESS PORT_FD``, with the gang's secret in its environment.

It listens on the address, writes its port to the file descriptor, and ends with the process of ours
on the node, with the parent's connection, or if no parent comes.
"""

from __future__ import annotations

import os
import sys

from app.fleet.environment import SECRET_VARIABLE
from app.fleet.node_services import NodeServices
from app.jobs.process import end_with_runner
from app.settings import load_settings
from probes.ranks.remote.host import RankHost


def main(interface: str, port_fd: int) -> None:
    from app.logging_setup import configure_logging

    end_with_runner()
    secret = os.environ.pop(SECRET_VARIABLE).encode()
    settings = load_settings()
    configure_logging(-1, settings.data_dir)
    host = RankHost(NodeServices(interface, settings), secret)
    with os.fdopen(port_fd, "w") as told:
        told.write(f"{host.port}\n")
    host.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
