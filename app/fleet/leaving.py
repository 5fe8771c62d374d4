"""A node that leaves a fleet in order: what runs there goes back to the queue first.

Otherwise its jobs would die with it, and a job that dies three times in a row fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.database import Database
from app.fleet import repository as nodes
from app.fleet import service
from app.fleet.nodes import Drain, NodeState
from app.fleet.service import NodeView
from app.jobs.records import JobKind
from app.settings import RunnerSettings

ROUNDS_S = 5.0
"""What the fleet's runner may take to see that the node leaves, and that nothing runs there."""


def leave(
    database: Database,
    settings: RunnerSettings,
    host: str,
    address: str,
    *,
    hurry: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Drain this host's node at ``address``, and wait until nothing runs there.

    It waits no longer than the jobs have to end by themselves, and not at all after ``hurry``, or
    where no process directs the fleet. Raises what the database raises.
    """
    found = _node(database, host, address)
    if found is None:
        return
    with database.write() as session:
        nodes.ask_to_drain(session, found.node.id, Drain.NOW)
    until_s = clock() + _grace_s(settings, found) + ROUNDS_S
    while clock() < until_s and not hurry():
        pause(0.5)
        left = _node(database, host, address)
        if left is None or left.node.state is NodeState.DRAINED:
            return


def _node(database: Database, host: str, address: str) -> NodeView | None:
    """The node, if the fleet's runner has one of its own runners there. ``None`` too where two
    nodes have this address: one may stay."""
    fleet = service.look(database)
    if not fleet.is_run:
        return None
    found = [each for each in fleet.there if (each.node.host, each.node.address) == (host, address)]
    return found[0] if len(found) == 1 and found[0].node.runner_id is not None else None


def _grace_s(settings: RunnerSettings, node: NodeView) -> float:
    """A fine-tuning saves a checkpoint first, and what does not end by itself is killed."""
    trains = any(job.kind is JobKind.FINETUNING for job in node.running)
    longest_s = settings.checkpoint_grace_s if trains else settings.cancel_grace_s
    return longest_s + settings.cancel_grace_s
