"""A Ray cluster as the engine of a fleet."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from app.database import Database
from app.fleet.address import FleetAddress
from app.fleet.engine import FleetUnavailable
from app.fleet.nodes import SeenNode
from app.fleet.on_ray.agent import Agent
from app.fleet.on_ray.connection import connect
from app.fleet.on_ray.executor import RayOpening

LOOK_S = 0.5
SILENT_S = 15.0
"""How long the head may be away before the fleet counts as lost. Calls to it may hang, so a thread
of its own asks."""

log = logging.getLogger(__name__)


class RayEngine:
    """See ``Engine``. Made by ``open_fleet``. ``agent`` is another class for tests."""

    def __init__(
        self,
        ray: ModuleType,
        database: Database,
        *,
        agent: type[Agent] = Agent,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ray = ray
        self._database = database
        self._agent = ray.remote(agent)
        self._clock = clock
        self._nodes = living_nodes(ray)
        self._seen_at_s = clock()
        self._stays: dict[Any, str] = {}
        """What each actor's ``stay`` will end with when the actor does, and the node's id."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fleet-nodes", daemon=True)
        self._thread.start()

    def nodes(self) -> list[SeenNode]:
        silent_s = self._clock() - self._seen_at_s
        if silent_s > SILENT_S:
            raise FleetUnavailable(
                f"The head of the fleet has not answered for {silent_s:.0f} s. If it has ended, "
                "start it again: tonnage fleet join --head. Every node has to join again then."
            )
        return self._nodes

    def open(self, node: SeenNode) -> RayOpening:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._agent.options(
            num_cpus=0,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1000,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        ).remote()
        self._stays = {ref: id_ for ref, id_ in self._stays.items() if id_ != node.id}
        self._stays[actor.stay.remote()] = node.id
        return RayOpening(self._ray, actor, node, self._database)

    def lost(self) -> set[str]:
        if not self._stays:
            return set()
        refs = list(self._stays)
        ended, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        return {self._stays.pop(ref) for ref in ended}

    def close(self) -> None:
        self.stop_watching()
        with contextlib.suppress(Exception):
            self._ray.shutdown()

    def stop_watching(self) -> None:
        """Stay connected, but do not look at the nodes any more."""
        self._closed.set()
        self._thread.join(LOOK_S + 1)

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_S):
            try:
                self._nodes = living_nodes(self._ray)
                self._seen_at_s = self._clock()
            except Exception as error:
                log.warning("The head of the fleet does not answer: %s", error)


def open_fleet(
    address: FleetAddress, database: Database, *, agent: type[Agent] = Agent
) -> RayEngine:
    """Connect to a cluster. Raises what ``connect`` raises."""
    return RayEngine(connect(address), database, agent=agent)


def living_nodes(ray: ModuleType) -> list[SeenNode]:
    """The nodes of the cluster that live, as its head knows."""
    return [
        SeenNode(
            id=each["NodeID"],
            host=each["NodeManagerHostname"],
            address=each["NodeManagerAddress"],
            labels=dict(each.get("Labels") or {}),
            gpus=int((each.get("Resources") or {}).get("GPU", 0)),
        )
        for each in ray.nodes()
        if each["Alive"]
    ]
