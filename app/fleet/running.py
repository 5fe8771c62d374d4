"""Running the fleet's runner as a process of its own: one for a database on a host."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from app.database import Database
from app.fleet.address import FleetAddress
from app.fleet.fleet import FleetRunner
from app.fleet.nodes import SeenNode
from app.settings import Settings
from optimizer.records import short_hash
from probes.errors import InputError


def lock_file(settings: Settings, database: Database) -> Path:
    """The fleet's runner of a database holds it on its host."""
    return settings.data_dir / f"fleet-{short_hash(database.shown_url)}.lock"


def require_engine() -> None:
    """Raises ``InputError`` where the engine is not installed. It is not imported, which would take
    a second."""
    if find_spec("ray") is None:
        raise InputError(
            "A fleet needs Ray, which is not installed. Install it with: pip install 'tonnage[ray]'"
        )


def open_runner(settings: Settings, database: Database, address: FleetAddress) -> FleetRunner:
    """Connected to the engine. Raises ``InputError`` where that is not installed, and
    ``FleetUnavailable`` where the fleet cannot be reached."""
    from app.fleet.on_ray.cluster import open_fleet

    return FleetRunner(database, settings.runner, open_fleet(address, database))


def reach(address: FleetAddress) -> list[SeenNode]:
    """The nodes that the engine has now. Raises as ``open_runner`` does."""
    from app.fleet.on_ray.cluster import living_nodes
    from app.fleet.on_ray.connection import connect

    ray = connect(address)
    try:
        return living_nodes(ray)
    finally:
        ray.shutdown()
