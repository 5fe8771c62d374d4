"""Are stored recommendations still valid here, now? Looks at the machine once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.database import Database
from app.machine.target import find_devices
from app.recommendations import service
from app.settings import Settings
from app.workloads.registry import registered
from optimizer.records import Recommendation
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.errors import TonnageError
from probes.job import WorkloadRef
from probes.prober import Prober


@dataclass(frozen=True)
class Checked:
    """A recommendation, whether it holds, and why not."""

    recommendation: Recommendation
    valid: bool
    reasons: list[str]


@dataclass
class _View:
    """This machine as one interpreter sees it."""

    prober: Prober
    fingerprints: dict[str, Fingerprint]
    """By device."""
    hashes: dict[str, str | None] = field(default_factory=dict)
    """Of workloads, as they are now; ``None`` for one that cannot be loaded."""


def check_validity(
    settings: Settings, database: Database, stored: Sequence[Recommendation], python: str | None
) -> list[Checked]:
    """Compare each with the device it names and the workload as it is now.

    ``python`` is the interpreter to look with (default: the one registered for the workload, else
    the usual one).
    """
    known = registered(settings)
    views: dict[str | None, _View] = {}
    checked = []
    for recommendation in stored:
        entry = known.get(recommendation.workload)
        where = python or (entry.python if entry else None)
        if where not in views:
            views[where] = _view(settings, where)
        options = recommendation.valid.get("workload_options") or {}
        spec = entry.reference if entry else recommendation.workload
        checked.append(_checked(database, recommendation, views[where], WorkloadRef(spec, options)))
    return checked


def _view(settings: Settings, python: str | None) -> _View:
    prober, found = find_devices(settings, python)
    facts = [DeviceFacts(**raw) for raw in found["devices"]]
    return _View(prober, {each.device: build_fingerprint(each, Telemetry(each)) for each in facts})


def _checked(
    database: Database, recommendation: Recommendation, view: _View, workload: WorkloadRef
) -> Checked:
    current = view.fingerprints.get(recommendation.device)
    if current is None:
        reason = f"There is no device {recommendation.device} here now."
        return Checked(recommendation, False, [reason])
    key = f"{workload.spec} {workload.options}"
    if key not in view.hashes:
        view.hashes[key] = workload_hash(view.prober, workload)
    if view.hashes[key] is None:
        reason = f"Workload {recommendation.workload} cannot be loaded here now."
        return Checked(recommendation, False, [reason])
    valid, reasons = service.check(
        database, recommendation, current, workload_hash=view.hashes[key]
    )
    return Checked(recommendation, valid, reasons)


def workload_hash(prober: Prober, workload: WorkloadRef) -> str | None:
    """Source hash of the workload as it is now; ``None`` when it cannot be loaded."""
    try:
        described = prober.describe(workload)
    except TonnageError:
        return None
    source_hash: str = described["source_hash"]
    return source_hash
