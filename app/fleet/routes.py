"""``/v1/fleet``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from app.fleet.schemas import FleetDrainIn, FleetNodeOut, FleetOut
from app.fleet.service import drain, look
from app.http import problem_types as types
from app.http.declared import problems
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Admin, Reader

router = resource("fleet", "/v1/fleet")


@router.get("", summary="Read the fleet")
def read_fleet(service: ServiceDep, caller: Reader) -> FleetOut:
    """Nodes, their devices, what runs where, and versions that differ. Without a fleet the list is
    empty and `advice` says how to get one."""
    return FleetOut.of(look(service.database))


@router.post(
    "/nodes/{node}/drain",
    summary="Drain a node",
    status_code=202,
    responses=problems(types.NOT_FOUND),
)
def drain_node(
    service: ServiceDep,
    caller: Admin,
    node: Annotated[
        str,
        Path(
            pattern="^[0-9A-Za-z._-]{1,80}$",
            description="Its name, or the beginning of its id.",
            examples=["node-7"],
        ),
    ],
    body: FleetDrainIn,
) -> FleetNodeOut:
    """Take a host away, or take it back. It happens within seconds: read the fleet to follow it."""
    asked = drain(service.database, node, body.drain)
    views = {view.node.id: view for view in look(service.database).nodes}
    return FleetNodeOut.of(views[asked.id])
