"""Are stored recommendations still valid here, now? Looks at the machine once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.database import Database
from app.recommendations import service
from app.settings import Settings
from app.target import find_devices
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


def check_validity(
    settings: Settings, database: Database, stored: Sequence[Recommendation], python: str | None
) -> list[Checked]:
    """Compare each with the device it names and the workload as it is now."""
    prober, found = find_devices(settings, python)
    fingerprints: dict[str, Fingerprint] = {}
    for raw in found["devices"]:
        facts = DeviceFacts(**raw)
        fingerprints[facts.device] = build_fingerprint(facts, Telemetry(facts))
    hashes: dict[str, str | None] = {}
    checked = []
    for recommendation in stored:
        current = fingerprints.get(recommendation.device)
        if current is None:
            reason = f"There is no device {recommendation.device} here now."
            checked.append(Checked(recommendation, False, [reason]))
            continue
        key = f"{recommendation.workload} {recommendation.valid.get('workload_options')}"
        if key not in hashes:
            hashes[key] = workload_hash(prober, recommendation)
        if hashes[key] is None:
            reason = f"Workload {recommendation.workload} cannot be loaded here now."
            checked.append(Checked(recommendation, False, [reason]))
            continue
        valid, reasons = service.check(database, recommendation, current, workload_hash=hashes[key])
        checked.append(Checked(recommendation, valid, reasons))
    return checked


def workload_hash(prober: Prober, recommendation: Recommendation) -> str | None:
    """Source hash of the workload as it is now; ``None`` when it cannot be loaded."""
    options = recommendation.valid.get("workload_options") or {}
    try:
        described = prober.describe(WorkloadRef(recommendation.workload, options))
    except TonnageError:
        return None
    source_hash: str = described["source_hash"]
    return source_hash
