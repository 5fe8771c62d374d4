"""What is true now, as far as earlier commands learned it: no worker is started.

What a worker said is kept for as long as nothing that it depends on changes (see
``app.machine.local_facts``). ``export`` uses this: it prints a file for a program that waits, and
warns of what is known without making it wait for torch.
"""

from __future__ import annotations

from app.database import Database
from app.devices import service as devices
from app.machine.disk_cache import kept
from app.machine.local_facts import (
    DEVICES,
    WORKLOAD,
    device_here,
    devices_key,
    timeouts,
    workload_key,
)
from app.settings import Settings
from app.validity.comparison import Validity, compare, measured_with
from app.validity.reported import conditions_of
from app.workloads.registry import entry_of
from optimizer.records import Recommendation
from probes.errors import TonnageError


def validity(
    settings: Settings, database: Database, recommendation: Recommendation, python: str | None
) -> Validity | None:
    """Compared with this machine's device of the same name. ``None`` where nothing is known, or
    there is no such device: that is no reason to warn of a file that is for another machine."""
    entry = entry_of(settings, recommendation.workload)
    python = python or (entry.python if entry else None)
    if kept(DEVICES, devices_key(python)) is None:
        return None
    try:
        here = device_here(python, recommendation.device, timeouts(settings), refresh=False)
    except TonnageError:
        return None
    spec = entry.reference if entry else recommendation.workload
    options = recommendation.valid.get("workload_options") or {}
    described = kept(WORKLOAD, workload_key(spec, options, python))
    return compare(
        recommendation.workload,
        measured_with(recommendation, devices.fingerprint_of(database, recommendation.fingerprint)),
        conditions_of(here, described["source_hash"] if described else None),
    )
