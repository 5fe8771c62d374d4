"""Starting the processes that host the ranks of a gang, through our actor on each node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.fleet.address import FleetAddress
from app.fleet.engine import NodeLost
from app.fleet.nodes import SeenNode
from app.fleet.on_ray.agent import Agent
from app.fleet.on_ray.cluster import living_nodes
from app.fleet.on_ray.connection import connect
from app.fleet.on_ray.executor import last_line

START_S = 120.0


class RankHosts:
    """The fleet, as a process on one of its nodes that directs a gang reaches it. The actors, and
    what they started, end with this object and with this process."""

    def __init__(self, fleet: FleetAddress, *, ray: Any = None) -> None:
        """Raises what ``connect`` raises. ``ray`` is given where there is a connection."""
        self._ray = connect(fleet) if ray is None else ray
        self._actors: list[Any] = []
        self.nodes: list[SeenNode] = living_nodes(self._ray)
        self.own_id: str = self._ray.get_runtime_context().get_node_id()

    def start(self, nodes: Sequence[SeenNode], secret: str) -> list[int]:
        """See ``app.fleet.gangs.StartHosts``. Raises ``NodeLost`` that names the node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actors = [
            self._ray.remote(Agent)
            .options(
                num_cpus=0,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=1000,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            )
            .remote()
            for node in nodes
        ]
        self._actors += actors
        asked = [
            actor.host_ranks.remote(node.address, secret)
            for actor, node in zip(actors, nodes, strict=True)
        ]
        ports = []
        for node, each in zip(nodes, asked, strict=True):
            try:
                ports.append(int(self._ray.get(each, timeout=START_S)))
            except self._ray.exceptions.RayError as error:
                name = node.labels.get("tonnage/name") or node.host
                raise NodeLost(
                    f"Node {name} cannot host ranks of a gang: {last_line(error)}"
                ) from None
        return ports
