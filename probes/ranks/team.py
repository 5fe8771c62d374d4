"""The other ranks, as one rank of a gang sees them. In the worker.

The ranks must take the same decisions, or one waits for ever in a collective that the other never
calls. So whatever a run decides from its own clock or memory is decided together here, between
steps, on a process group of its own. What ends a run badly is not agreed on: a rank that fails
tells its parent, over its own pipe, and the parent ends the others.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from probes.errors import MeasurementError
from probes.formatting import first_line
from probes.group import Group

PATIENCE = timedelta(hours=12)
"""Longer than any probe: the parent decides when a rank is late, not the library."""
REACH = timedelta(seconds=30)
"""How long a rank tries to reach the store of a gang on several hosts."""
TCP = "tcp://"

LOOPBACK = "lo"


class Alone:
    """A single device: all decisions are its own."""

    size = 1
    rank = 0
    data_rank = 0
    data_parallel = 1
    weight = 1.0
    """What this rank's loss is multiplied by, so that unequal micro-batches count by their size."""

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank. Every rank must ask, at the same point of its run."""
        return flag

    def wait(self) -> None:
        """Until every rank has come this far."""


class Team(Alone):
    """One rank among several."""

    def __init__(self, group: Group, rank: int, tensor_parallel: int, device: torch.device) -> None:
        import torch.distributed as dist

        self.group = group
        self.size = group.size
        self.rank = rank
        self.device = device
        self.tensor_parallel = tensor_parallel
        self.data_rank = rank // tensor_parallel
        self.data_parallel = group.size // tensor_parallel
        sizes = group.batch_sizes
        self.weight = sizes[rank] * group.size / sum(sizes) if sizes else 1.0
        self._control = dist.new_group(backend="gloo", timeout=PATIENCE)
        self.mesh: Any = None

    def make_mesh(self) -> None:
        """Arrange the ranks, all of them together, as ``mesh``: a process group for each row and
        column of ``dp`` × ``tp``."""
        from torch.distributed.device_mesh import init_device_mesh

        shape = (self.data_parallel, self.tensor_parallel)
        self.mesh = init_device_mesh(self.device.type, shape, mesh_dim_names=("dp", "tp"))

    def any(self, flag: bool) -> bool:
        import torch.distributed as dist

        found = torch.tensor([int(flag)])
        dist.all_reduce(found, op=dist.ReduceOp.MAX, group=self._control)
        return bool(found.item())

    def wait(self) -> None:
        self.any(False)

    def seed(self, seed: int) -> None:
        """Random numbers of this rank's own, as data loaders with a sampler per rank have."""
        torch.manual_seed(seed + self.data_rank)
        random.seed(seed + self.data_rank)


def preload(group: Group) -> None:
    """Import what joining and sharding need, so that none of it counts as the workload's memory.

    Raises ``MeasurementError`` where this torch cannot let such devices talk to each other.
    """
    import torch.distributed as dist

    if not dist.is_available():
        raise MeasurementError("This torch was built without torch.distributed.")
    if not dist.is_backend_available(group.library):
        raise MeasurementError(
            f"This torch was built without {group.library}, through which {group.kind} devices "
            "train together."
        )
    import torch.distributed.device_mesh
    import torch.distributed.fsdp
    import torch.distributed.tensor
    import torch.nn.parallel  # noqa: F401


def join(group: Group, rank: int, tensor_parallel: int, meeting: str, device: torch.device) -> Team:
    """Meet the other ranks. Blocks until all are there; the parent ends a rank that waits in vain.

    ``meeting`` is a file that all ranks can open, or ``tcp://host:port`` of a store where they are
    on several hosts; and a name for this run, with ``#`` between. Raises ``MeasurementError`` where
    it cannot be reached.
    """
    import torch.distributed as dist

    path, _, name = meeting.partition("#")
    stores: Any = dist  # it has them, without saying so
    store = stores.PrefixStore(name, _far_store(path) if path.startswith(TCP) else _file(path))
    own: dict[str, Any] = {"device_id": device} if group.kind in ("cuda", "xpu") else {}
    dist.init_process_group(
        group.library, store=store, rank=rank, world_size=group.size, timeout=PATIENCE, **own
    )
    return Team(group, rank, tensor_parallel, device)


def _file(path: str) -> Any:
    import torch.distributed as dist

    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:  # torch would try again for ever
        raise MeasurementError(
            f"The ranks cannot meet at {path}: {error.strerror}. All of them must be started by "
            "the same process."
        ) from None
    _talk_on_this_machine()
    stores: Any = dist
    return stores.FileStore(path, -1)


def _far_store(address: str) -> Any:
    import torch.distributed as dist

    host, _, port = address.removeprefix(TCP).rpartition(":")
    stores: Any = dist
    try:
        store = stores.TCPStore(
            host, int(port), is_master=False, timeout=REACH, wait_for_workers=False
        )
    except RuntimeError as error:  # torch's network errors are of this kind
        raise MeasurementError(
            f"This rank cannot reach the others' meeting place at {host}:{port}: "
            f"{first_line(error)} Does a firewall let the nodes' ports through?"
        ) from None
    store.set_timeout(PATIENCE)
    return store


def _talk_on_this_machine() -> None:
    """Gloo asks for the address of the host's name, which many machines do not know: the loopback
    always works, unless the user names an interface."""
    if Path("/sys/class/net", LOOPBACK).exists():
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
    elif os.uname().sysname == "Darwin":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0")
