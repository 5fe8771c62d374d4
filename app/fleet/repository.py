"""All SQL about the nodes of the fleet."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.serving import FleetNodeRow
from app.database.records import record_of
from app.fleet.nodes import Drain, FleetNode, NodeState, SeenNode

KEPT = timedelta(days=1)
"""How long a node that has gone is shown."""


def add(session: Session, node: SeenNode, name: str) -> None:
    now = utc_now()
    session.add(
        FleetNodeRow(
            id=node.id,
            name=name,
            host=node.host,
            address=node.address,
            state=NodeState.JOINING,
            reason="",
            drain=Drain.NO,
            labels=dict(node.labels),
            versions={},
            runner_id=None,
            joined_at=now,
            seen_at=now,
        )
    )
    session.flush()


def change(session: Session, node_id: str, **columns: Any) -> None:
    """Set columns of a node, and that it was seen now."""
    session.execute(
        update(FleetNodeRow)
        .where(FleetNodeRow.id == node_id)
        .values(**columns, seen_at=utc_now())
        .execution_options(synchronize_session=False)
    )


def seen(session: Session, node_ids: Collection[str]) -> None:
    """These nodes are still there."""
    session.execute(
        update(FleetNodeRow)
        .where(FleetNodeRow.id.in_(list(node_ids)))
        .values(seen_at=utc_now())
        .execution_options(synchronize_session=False)
    )


def listing(session: Session) -> list[FleetNode]:
    """By name; those that have gone last."""
    rows = session.execute(select(FleetNodeRow).order_by(FleetNodeRow.name, FleetNodeRow.id))
    nodes = [_record(row) for row in rows.scalars()]
    return sorted(nodes, key=lambda node: not node.state.is_there)


def drains(session: Session) -> dict[str, Drain]:
    """What was asked for, of every node that is there."""
    rows = session.execute(
        select(FleetNodeRow.id, FleetNodeRow.drain).where(FleetNodeRow.state != NodeState.GONE)
    )
    return {node_id: Drain(drain) for node_id, drain in rows}


def ask_to_drain(session: Session, node_id: str, how: Drain) -> None:
    """What a person wants: not a sign of life of the node."""
    session.execute(update(FleetNodeRow).where(FleetNodeRow.id == node_id).values(drain=how))
    session.expire_all()


def forget_old(session: Session) -> None:
    """Delete nodes that went long ago."""
    session.execute(
        delete(FleetNodeRow).where(
            FleetNodeRow.state == NodeState.GONE, FleetNodeRow.seen_at < utc_now() - KEPT
        )
    )


def _record(row: FleetNodeRow) -> FleetNode:
    return record_of(FleetNode, row, state=NodeState(row.state), drain=Drain(row.drain))
