"""The processes of a campaign: a fleet's head, its nodes, the service, and what they start."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.faults.house import TONNAGE, WORKLOAD, House, free_port

NODES = 2
ADDRESS = "127.0.0.2"
"""Of this machine, and not 127.0.0.1, where a fleet is one host alone."""
ALONE = '''
import fcntl
import os

FOLDER = os.path.dirname(os.path.abspath(__file__))
held = []


def alone():
    """Hold the device for as long as this process lives; note it where another one does."""
    if held:
        return
    held.append(os.open(os.path.join(FOLDER, "device.lock"), os.O_RDWR | os.O_CREAT))
    try:
        fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        with open(os.path.join(FOLDER, "overlaps"), "a") as file:
            file.write(f"{os.getpid()}\\n")
    with open(os.path.join(FOLDER, "probes"), "a") as file:
        file.write(f"{os.getpid()}\\n")


class Tiny(Tiny):
    def loss(self, model, batch):
        if type(batch) is torch.Tensor and type(next(model.parameters())) is nn.Parameter:
            alone()  # not where memory is only estimated, with tensors that have no data
        return super().loss(model, batch)
'''
"""The workload of ``faults``, of which one probe at a time may be on the device."""


@dataclass
class FleetHouse(House):
    """Beside ``web`` a ``head``, which measures as well, and nodes that join it."""

    nodes: int = NODES
    head_port: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        (self.folder / "tiny.py").write_text(WORKLOAD + ALONE)
        self.token = self.folder / "fleet.token"
        self.head_port = free_port()
        self.ray = tempfile.mkdtemp(prefix="tf-")  # short: sockets have paths of 107 bytes at most

    @property
    def address(self) -> str:
        return f"{ADDRESS}:{self.head_port}"

    @property
    def members(self) -> list[str]:
        return ["head", *self.node_names, "web"]

    @property
    def node_names(self) -> list[str]:
        return [f"node {number}" for number in range(1, self.nodes + 1)]

    @property
    def overlaps(self) -> int:
        """Probes that found another one on the device."""
        return self._lines("overlaps")

    @property
    def probes(self) -> int:
        return self._lines("probes")

    def _lines(self, name: str) -> int:
        try:
            return len((self.folder / name).read_text().splitlines())
        except OSError:
            return 0

    def command(self, name: str) -> list[str]:
        token = ["--token-file", str(self.token)]
        if name == "web":
            return [*super().command(name), "--fleet", self.address, *token]
        number = self.members.index(name)
        join = [*TONNAGE, "fleet", "join", *token, "--bind", ADDRESS]
        join += ["--labels", f"tonnage/name=n{number}", "--ray-folder", f"{self.ray}/{number}"]
        if name == "head":
            return [*join, "--head", "--port", str(self.head_port)]
        return [*join, self.address]

    def of_node(self, name: str) -> list[psutil.Process]:
        """Every process of a node: the command, the engine, our process in it, and its jobs."""
        with contextlib.suppress(psutil.Error, KeyError):
            root = psutil.Process(self.running[name].pid)
            return [root, *root.children(recursive=True)]
        return []

    def victims(self, kind: str) -> list[psutil.Process]:
        if kind in ("agent", "raylet"):
            return self.agents() if kind == "agent" else self.engines()
        return super().victims(kind)

    def engines(self) -> list[psutil.Process]:
        """The raylets of the nodes, without the head's."""
        return [p for name in self.node_names for p in self.of_node(name) if _is(p, "raylet")]

    def agents(self) -> list[psutil.Process]:
        """Our processes on the nodes."""
        members = ["head", *self.node_names]
        return [p for name in members for p in self.of_node(name) if _is(p, "ray::Agent")]

    def studies(self) -> list[psutil.Process]:
        found = []
        for process in self.marked():
            with contextlib.suppress(psutil.Error):
                if self.job_module in process.cmdline():
                    found.append(process)
        return found

    def pause(self, name: str, for_s: float) -> None:
        """As if the network to a node were cut: everything on it stops, and goes on afterwards."""
        stopped = self.of_node(name)
        for process in stopped:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGSTOP)
        time.sleep(for_s)
        for process in stopped:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)

    def stop(self) -> dict[str, int | None]:
        """The service leaves its runner behind, which goes on with what runs: that ends first."""
        self.running.pop("web").terminate()
        for process in self.marked():
            with contextlib.suppress(psutil.Error):
                if "runner" in process.cmdline():
                    process.terminate()
        return super().stop()

    def end(self) -> None:
        super().end()
        shutil.rmtree(self.ray, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        own = {
            "TONNAGE_RUNNER__WITH_SERVICE": "true",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        return {**super().environment(), **own}


def _is(process: psutil.Process, program: str) -> bool:
    try:
        words = process.cmdline()
        return bool(words) and (Path(words[0]).name == program or words[0].startswith(program))
    except psutil.Error:
        return False
