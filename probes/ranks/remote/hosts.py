"""All nodes of a gang, as its parent sees them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from probes.devices.lease import POLL_S, OnWait
from probes.errors import MeasurementError
from probes.group import Group
from probes.ranks.network import Network
from probes.ranks.remote.parent import Host, RemoteWorker
from probes.ranks.remote.wire import HostLost


class Hosts:
    """The nodes in the order of their ranks. ``close`` it in the end."""

    def __init__(self, members: Sequence[Host]) -> None:
        self.members = list(members)
        self.network: Network | None = None
        """As measured between them."""
        self._by_name = {each.name: each for each in members}
        self._meeting = ""
        self._runs = count(1)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.members)

    def worker(self, group: Group, rank: int) -> RemoteWorker:
        """A new worker for a rank, on its node. Raises ``HostLost``."""
        return RemoteWorker(self._by_name[group.node_of(rank)], group, rank)

    def next_meeting(self) -> str:
        """A place that no other run has. The store is opened once, on the first node. Raises
        ``HostLost``."""
        if not self._meeting:
            self._meeting = f"tcp://{self.members[0].ask('open_store')}"
        return f"{self._meeting}#{next(self._runs)}"

    def reserve(self, command: str, wait_s: float, on_wait: OnWait | None = None) -> None:
        """Take the gang's devices on all nodes, or none. All gangs take them node by node in the
        same order, and none keeps one while it waits for another, so that no two wait for each
        other. Raises ``MeasurementError`` where one is still in use after ``wait_s`` seconds."""
        began_s = time.monotonic()
        while busy := self._try_to_reserve(command):
            waited_s = time.monotonic() - began_s
            if waited_s >= wait_s:
                raise MeasurementError(busy)
            if on_wait is not None:
                on_wait(busy, waited_s)
            time.sleep(POLL_S)

    def _try_to_reserve(self, command: str) -> str:
        """Who has a device; empty where all are ours."""
        for each in sorted(self.members, key=lambda each: (each.address[0], each.name)):
            if busy := each.ask("reserve", command=command):
                self.release()
                return f"Node {each.name}: {busy}"
        return ""

    def release(self) -> None:
        for each in self.members:
            with contextlib.suppress(HostLost):
                each.ask("release")

    def ask_all(self, method: str, **arguments: Any) -> list[Any]:
        """The answers of all nodes, which are asked at the same time. Raises what one raises."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            return list(pool.map(lambda each: each.ask(method, **arguments), self.members))

    def close(self) -> None:
        """Leave the nodes; what runs there ends."""
        for each in self.members:
            each.close()
