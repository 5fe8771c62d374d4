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
    DeviceNow,
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
from probes.black_box.command import is_command
from probes.black_box.sources import describe
from probes.errors import TonnageError
from probes.job import WorkloadRef


def validity(
    settings: Settings, database: Database, recommendation: Recommendation, python: str | None
) -> Validity | None:
    """Compared with this machine's device of the same name, and with the source of a command whose
    folder is here. ``None`` where nothing is known: that is no reason to warn of a file that is for
    another machine."""
    entry = entry_of(settings, recommendation.workload)
    python = python or (entry.python if entry else None)
    here = _here(settings, recommendation, python)
    spec = entry.reference if entry else recommendation.workload
    workload = WorkloadRef(spec, recommendation.workload_options)
    if here is None and not is_command(workload):
        return None
    return compare(
        recommendation.workload,
        measured_with(recommendation, devices.fingerprint_of(database, recommendation.fingerprint)),
        conditions_of(here, _source_hash(workload, python)),
    )


def _here(
    settings: Settings, recommendation: Recommendation, python: str | None
) -> DeviceNow | None:
    if kept(DEVICES, devices_key(python)) is None:
        return None
    try:
        return device_here(python, recommendation.device, timeouts(settings), refresh=False)
    except TonnageError:
        return None


def _source_hash(workload: WorkloadRef, python: str | None) -> str | None:
    """A command is looked at now, which needs no worker. ``None`` where its folder is not here."""
    if is_command(workload):
        try:
            return str(describe(workload)["source_hash"])
        except (TonnageError, OSError):
            return None
    described = kept(WORKLOAD, workload_key(workload.spec, workload.options, python))
    return str(described["source_hash"]) if described else None
