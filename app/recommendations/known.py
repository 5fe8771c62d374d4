"""Does a recommendation still hold here, as far as that is known without starting torch?

What earlier commands learned of devices and workloads is kept for as long as nothing that it
depends on changes (``app.machine.local_facts``). Where nothing is kept, nothing is said.
"""

from __future__ import annotations

from app.database import Database
from app.machine.disk_cache import kept
from app.machine.local_facts import DEVICES, WORKLOAD, device_here, devices_key, workload_key
from app.recommendations import service
from app.settings import Settings
from app.workloads.registry import registered
from optimizer.records import Recommendation
from probes.devices.fingerprint import Fingerprint
from probes.errors import TonnageError


def known_changes(
    settings: Settings, database: Database, recommendation: Recommendation, python: str | None
) -> list[str]:
    """Why it no longer holds on the device of this machine that has the name of its own, in words;
    empty where it holds, there is no such device, or nothing is known."""
    entry = registered(settings).get(recommendation.workload)
    python = python or (entry.python if entry else None)
    if kept(DEVICES, devices_key(python)) is None:
        return []
    try:
        here = device_here(python, recommendation.device, (0.0, 0.0, 0.0), anew=False)
    except TonnageError:
        return []
    spec = entry.reference if entry else recommendation.workload
    options = recommendation.valid.get("workload_options") or {}
    workload = kept(WORKLOAD, workload_key(spec, options, python))
    return service.check(
        database,
        recommendation,
        Fingerprint.from_dict(here.document),
        workload_hash=workload["source_hash"] if workload else None,
    ).reasons
