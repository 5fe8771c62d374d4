"""What a gang's parent can ask of the process on a node, besides running ranks there."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from probes.devices.base import DeviceFacts
from probes.devices.environment import process_environment
from probes.devices.group_telemetry import GroupTelemetry
from probes.devices.lease import lease
from probes.devices.telemetry import Telemetry, TelemetryWindow
from probes.energy.power_limit import give_back_left_over
from probes.errors import MeasurementError
from probes.processes.launch import GuardedProcess, StartError

STORE = Path(__file__).with_name("store_boot.py")
STORE_START_S = 120.0
"""An interpreter may take minutes to import torch from a slow disk."""
SOCKET_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


class Services:
    """Of one node. The parent calls the methods in ``OFFERED`` by name, one after the other."""

    OFFERED: Sequence[str] = (
        "reserve", "release", "open_store", "begin", "end", "wait_for_quiet", "is_disturbed",
    )  # fmt: skip

    def __init__(self, interface: str, python: str, lease_folder: Path | None = None) -> None:
        """``interface`` is the address of this host that the other nodes reach, ``python`` the
        interpreter that trains."""
        self.interface = interface
        self.python = python
        self.members: list[DeviceFacts] = []
        """The devices here that the gang uses, in the order of their ranks."""
        self.spec = ""
        """How the workload is found on this host; empty: as on the parent's."""
        self.worker_pids: set[int] = set()
        self._lease_folder = lease_folder
        self._held = contextlib.ExitStack()
        self._store: GuardedProcess | None = None
        self._telemetry: Telemetry | None = None

    def localised(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job as a worker of this host understands it."""
        if not self.spec or "workload" not in job:
            return job
        return {**job, "workload": {**job["workload"], "spec": self.spec}}

    @property
    def environment(self) -> dict[str, str]:
        """What ranks here need to reach those on other hosts, where the user does not say it."""
        name = interface_name(self.interface)
        return {each: name for each in SOCKET_VARIABLES if name and each not in os.environ}

    def reserve(self, command: str) -> str:
        """Take all devices of the gang that are here, or none. Returns who has one of them; empty
        where they are ours now. Never waits."""
        self.release()
        try:
            folder = self._lease_folder
            self._held.enter_context(lease(*self.members, command=command, wait_s=0, folder=folder))
        except MeasurementError as error:
            return str(error)
        give_back_left_over(self.members, folder)
        return ""

    def release(self) -> None:
        self._held.close()

    def open_store(self) -> str:
        """Start the process that hosts the store where the ranks meet; returns its address, on the
        interface of this host that the nodes reach and on no other. Raises ``MeasurementError``."""
        if self._store is not None:
            self._store.close()
        with socket.create_server((self.interface, 0)) as listening:
            port = listening.getsockname()[1]
            command = [self.python, str(STORE), self.interface, str(port)]
            try:
                self._store = GuardedProcess(
                    [*command, str(listening.fileno())],
                    environ=process_environment({}),
                    pass_fds=(listening.fileno(),),
                )
                said, until_s = b"", time.monotonic() + STORE_START_S
                while self._store.running and b"ready" not in said and time.monotonic() < until_s:
                    said += b"".join(each.data for each in self._store.wait(1.0))
            except StartError as error:
                raise MeasurementError(f"{self.python} could not be started: {error}.") from None
        if b"ready" not in said:
            text = said.decode(errors="replace").strip()[-500:]
            raise MeasurementError(f"The ranks' meeting place could not be opened. {text}")
        return f"{self.interface}:{port}"

    def begin(self) -> None:
        """Watch the devices and the host while the ranks train."""
        first = self.members[0]
        alone = first.kind == "cpu" or len(self.members) == 1
        self._telemetry = Telemetry(first) if alone else GroupTelemetry(self.members)
        self._telemetry.begin(*(self.worker_pids or {os.getpid()}))

    def end(self) -> TelemetryWindow | None:
        """What was seen since ``begin``."""
        telemetry, self._telemetry = self._telemetry, None
        return None if telemetry is None else telemetry.end()

    def wait_for_quiet(self, within_s: float) -> float:
        """See ``Telemetry.wait_for_quiet``."""
        return Telemetry(self.members[0]).wait_for_quiet(within_s)

    def is_disturbed(self, window_s: float) -> bool:
        """See ``Telemetry.is_disturbed``."""
        return Telemetry(self.members[0]).is_disturbed(window_s)

    def close(self) -> None:
        """End what runs, and give the devices back."""
        if self._telemetry is not None:
            self.end()
        if self._store is not None:
            self._store.close()
        self.release()

    def method(self, name: str) -> Callable[..., Any]:
        """A method that the parent may call. Raises ``MeasurementError`` for another name."""
        if name not in self.OFFERED:
            raise MeasurementError(
                f"This node does not know {name!r}. Do all nodes run the same version of Tonnage?"
            )
        found: Callable[..., Any] = getattr(self, name)
        return found


def interface_name(address: str) -> str:
    """The network interface of this host that has the address; the loopback for any of 127.0.0.0/8.
    Empty where there is none."""
    loopback = ipaddress.ip_address(address).is_loopback
    for name, addresses in psutil.net_if_addrs().items():
        for each in addresses:
            if each.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            bare = each.address.partition("%")[0]
            if bare == address or (loopback and ipaddress.ip_address(bare).is_loopback):
                return name
    return ""
