"""``/v1/fleet``."""

from __future__ import annotations

from app.fleet.schemas import FleetOut
from app.fleet.service import look
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader

router = resource("fleet", "/v1/fleet")


@router.get("", summary="Read the fleet")
def read_fleet(service: ServiceDep, caller: Reader) -> FleetOut:
    """Nodes, their devices, what runs where, and versions that differ. Without a fleet the list is
    empty and `advice` says how to get one."""
    return FleetOut.of(look(service.database))
