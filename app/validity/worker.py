"""What is true now, by asking torch: a worker per interpreter describes devices and workloads.

``recommend`` and ``export --check`` use this. It takes seconds, and is the only supplier that can
say that a device or a workload is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.database import Database
from app.devices import service as devices
from app.machine.groups import fingerprint_of_group
from app.machine.target import find_devices
from app.settings import Settings
from app.validity.comparison import Conditions, Validity, absent, compare, measured_with
from app.workloads.registry import registered
from optimizer.records import Recommendation
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.errors import TonnageError
from probes.group import group_of, is_group
from probes.job import WorkloadRef
from probes.prober import Prober


@dataclass
class _View:
    """This machine as one interpreter sees it."""

    prober: Prober
    fingerprints: dict[str, Fingerprint]
    """By device, or label of a group."""
    facts: dict[str, DeviceFacts]
    hashes: dict[str, str | None] = field(default_factory=dict)
    """Present hashes of workloads; ``None`` for one that cannot be loaded."""


def validities(
    settings: Settings, database: Database, stored: Sequence[Recommendation], python: str | None
) -> list[Validity]:
    """Each compared with the device it names and the workload as it is now, in order.

    ``python`` is the interpreter to use (default: the one registered for the workload, otherwise
    the usual one).
    """
    known = registered(settings)
    views: dict[str | None, _View] = {}
    found = []
    for recommendation in stored:
        entry = known.get(recommendation.workload)
        where = python or (entry.python if entry else None)
        if where not in views:
            views[where] = _view(settings, where)
        options = recommendation.valid.get("workload_options") or {}
        spec = entry.reference if entry else recommendation.workload
        workload = WorkloadRef(spec, options)
        found.append(_validity(database, recommendation, views[where], workload))
    return found


def _view(settings: Settings, python: str | None) -> _View:
    prober, found = find_devices(settings, python)
    facts = [DeviceFacts(**raw) for raw in found["devices"]]
    known = {each.device: each for each in facts}
    return _View(
        prober, {each.device: build_fingerprint(each, Telemetry(each)) for each in facts}, known
    )


def _validity(
    database: Database, recommendation: Recommendation, view: _View, workload: WorkloadRef
) -> Validity:
    current = _current(view, recommendation.device)
    if current is None:
        return absent(f"This machine has no device {recommendation.device} now.")
    source_hash = _source_hash(view, workload)
    if source_hash is None:
        return absent(f"Workload {recommendation.workload} cannot be loaded here now.")
    then = measured_with(
        recommendation, devices.fingerprint_of(database, recommendation.fingerprint)
    )
    now = Conditions(fingerprint=current.key, groups=current, source_hash=source_hash)
    return compare(recommendation.workload, then, now)


def _current(view: _View, device: str) -> Fingerprint | None:
    """The fingerprint of a device, or of a group whose members are all here."""
    if device not in view.fingerprints and is_group(device):
        group = group_of(device)
        if group.hosts == 1 and all(each in view.facts for each in group.devices):
            members = [view.facts[each] for each in group.devices]
            view.fingerprints[device] = fingerprint_of_group(group, members)
    return view.fingerprints.get(device)


def _source_hash(view: _View, workload: WorkloadRef) -> str | None:
    key = f"{workload.spec} {workload.options}"
    if key not in view.hashes:
        try:
            view.hashes[key] = str(view.prober.describe(workload)["source_hash"])
        except TonnageError:
            view.hashes[key] = None
    return view.hashes[key]
