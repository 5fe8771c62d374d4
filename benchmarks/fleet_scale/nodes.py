"""Simulated nodes: real runners and a real queue, with devices and processes that are scripts.

A job's process needs a few rounds, and then stores that its job is finished, through a connection
of its own, as a process on a node does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from app.database import Database
from app.fleet.engine import NodeExecutor
from app.fleet.fleet import FleetRunner
from app.fleet.nodes import Description, SeenNode
from app.jobs import queue
from app.jobs.offers import DeviceOffer, Offers
from app.jobs.process import EXIT_DONE
from app.jobs.records import Job
from app.jobs.runner import POLL_S, Runner
from app.settings import RunnerSettings
from app.tuning.owner import this_place, this_process
from app.tuning.state import StudyState

WORKLOAD = "transformer"
ROUNDS = 3
"""Rounds of the runner that a study lasts."""


@dataclass
class World:
    """The clock of all nodes, and the connection of their processes."""

    processes: Database
    now_s: float = 0.0
    started: int = 0
    finished: int = 0
    pids: itertools.count[int] = field(default_factory=lambda: itertools.count(100_000))


class SimulatedProcess:
    """Runs a job for some rounds."""

    def __init__(self, world: World, job: Job, runner_id: str) -> None:
        self.world, self.job, self.runner_id = world, job, runner_id
        self.pid = next(world.pids)
        self.left = ROUNDS
        world.started += 1

    def poll(self) -> int | None:
        self.left -= 1
        if self.left > 0:
            return None
        if self.left == 0:
            self._finish()
        return EXIT_DONE

    def _finish(self) -> None:
        with self.world.processes.write() as session:
            queue.end(
                session,
                self.job.id,
                self.runner_id,
                StudyState.FINISHED,
                attempt=self.job.attempt,
            )
        self.world.finished += 1

    def send_signal(self, sig: int) -> None:
        self.left = 0

    def kill(self) -> None:
        self.left = 0


class SimulatedNode(NodeExecutor):
    """A host with one device, which starts simulated processes."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    @property
    def description(self) -> Description:
        versions = {"tonnage": version("tonnage")}
        return Description(this_process(), this_place(), versions, self.offers())

    @property
    def node(self) -> str:
        return self._name

    def offers(self) -> Offers:
        offer = DeviceOffer(
            python="",
            device="cuda:0",
            kind="cuda",
            name="NVIDIA H200",
            fingerprint=f"{self._name}-cuda-0",
            class_key="0123456789abcdef",
            total_bytes=141 * 2**30,
            lease=f"{self._name}/cuda:0",
        )
        return Offers({WORKLOAD: ""}, (offer,))

    def start(self, job: Job, runner_id: str, offer: DeviceOffer) -> SimulatedProcess:
        return SimulatedProcess(self._world, job, runner_id)

    def close(self) -> None:
        """Its processes are no processes."""


class Fleet(Protocol):
    """All nodes."""

    def step(self) -> None:
        """One round of each."""


class RunnerPerHost:
    """``tonnage runner`` on each host: every runner looks for itself."""

    def __init__(self, database: Database, world: World, nodes: int) -> None:
        settings = RunnerSettings()
        self._runners = [
            Runner(
                database,
                settings,
                SimulatedNode(world, f"node{number}"),
                clock=lambda: world.now_s,
            )
            for number in range(nodes)
        ]
        self._world = world

    def step(self) -> None:
        for runner in self._runners:
            runner.step()
        self._world.now_s += POLL_S


class SimulatedEngine:
    """Connects the hosts of a fleet; each is ready as soon as it is opened."""

    def __init__(self, world: World, nodes: int) -> None:
        self._world = world
        self._nodes = [SeenNode(f"id-{n}", f"node{n}", "127.0.0.1") for n in range(nodes)]

    def nodes(self) -> list[SeenNode]:
        return self._nodes

    def open(self, node: SeenNode) -> _Opened:
        return _Opened(SimulatedNode(self._world, node.host))

    def lost(self) -> set[str]:
        return set()

    def close(self) -> None:
        """There is nothing to leave."""


@dataclass
class _Opened:
    executor: SimulatedNode

    def poll(self) -> SimulatedNode:
        return self.executor

    def close(self) -> None:
        """Its processes are no processes."""


class OneLoop:
    """``tonnage serve --fleet``: one process looks after all nodes."""

    def __init__(self, database: Database, world: World, nodes: int) -> None:
        engine = SimulatedEngine(world, nodes)
        self._runner = FleetRunner(database, RunnerSettings(), engine, clock=lambda: world.now_s)
        self._world = world

    def step(self) -> None:
        self._runner.step()
        self._world.now_s += POLL_S
