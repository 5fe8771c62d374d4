"""The nodes of the fleet as its runner keeps them: being opened, with a runner, or of no use."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version

from app.fleet.engine import NodeExecutor, Opening
from app.fleet.nodes import Description, Drain, NodeState, SeenNode
from app.jobs.runner import Runner
from app.tuning.owner import this_place


@dataclass
class Member:
    """One node."""

    node: SeenNode
    name: str
    state: NodeState = NodeState.JOINING
    drain: Drain = Drain.NO
    opening: Opening | None = None
    executor: NodeExecutor | None = None
    runner: Runner | None = None
    open_at_s: float = 0.0
    """When to open it, by the fleet's clock: a node whose process has just ended gets some rest."""
    versions: dict[str, object] = field(default_factory=dict)

    @property
    def takes_work(self) -> bool:
        return self.runner is not None and self.state is NodeState.READY


def why_unusable(description: Description, *, database_is_file: bool) -> str:
    """Why nothing can run on a node, and what to do about it; empty if something can."""
    ours, theirs = version("tonnage"), description.versions.get("tonnage")
    if theirs != ours:
        return (
            f"It has Tonnage {theirs}, and this fleet is run by {ours}: both write to one "
            f"database. Install {ours} there and join again."
        )
    if database_is_file and description.place != this_place():
        return (
            "The database is a file on the host of the fleet's runner, which this node cannot "
            "open. Use PostgreSQL: --database postgresql://…"
        )
    return description.problem


def unique_name(node: SeenNode, taken: set[str]) -> str:
    """The node's host, or with a part of its id where another node is called so."""
    label = node.labels.get("tonnage/name") or node.host
    return label if label not in taken else f"{label}-{node.id[:6]}"
