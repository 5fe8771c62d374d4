"""What a fleet needs of the engine that connects its hosts. ``on_ray`` is the only one; tests have
one that is a script."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from app.fleet.nodes import Description, SeenNode
from app.jobs.executor import Executor
from app.jobs.offers import Offers
from probes.errors import MeasurementError


class FleetUnavailable(MeasurementError):
    """The engine does not answer, so nobody knows which nodes are there."""


class NodeLost(MeasurementError):
    """The process of ours on a node has ended, or the node has."""


class NodeExecutor(Executor):
    """Runs jobs on one node."""

    @property
    @abstractmethod
    def description(self) -> Description:
        """What the node says of itself."""


def labelled(offers: Offers, labels: Mapping[str, str]) -> Offers:
    """The offers of a node, whose devices can be asked for by the node's labels."""
    own = {name: value for name, value in labels.items() if not name.startswith("ray.io/")}
    return replace(offers, devices=tuple(replace(each, labels=own) for each in offers.devices))


class Opening(Protocol):
    """A node that is being asked what it offers, which takes seconds."""

    def poll(self) -> NodeExecutor | None:
        """The executor as soon as it is ready. Never waits. Raises ``NodeLost``."""

    def close(self) -> None:
        """Do without it."""


class Engine(Protocol):
    """The hosts, as one process of ours reaches them. No method waits for long."""

    def nodes(self) -> list[SeenNode]:
        """The nodes that live now. Raises ``FleetUnavailable``."""

    def open(self, node: SeenNode) -> Opening:
        """Start our process on a node."""

    def lost(self) -> set[str]:
        """Ids of opened nodes where our process has ended although nobody closed it."""

    def close(self) -> None:
        """Leave the fleet; what still runs is ended."""
