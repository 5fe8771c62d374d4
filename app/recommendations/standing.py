"""Do recommendations still hold, as far as the store can tell? Looks at no device.

``check`` asks the machine, and takes seconds. This compares with what was last seen: the software
on the same device, the source of the same workload, and a newer answer to the same question.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.database import Database
from app.database.models import DeviceRow, WorkloadRow
from app.devices import repository as devices
from app.workloads import repository as workloads
from optimizer.records import Recommendation
from probes.devices.fingerprint import Fingerprint

HARDWARE = ("uuid", "machine")
"""What of an identity stays the same whatever is installed."""


@dataclass(frozen=True)
class Standing:
    """Whether a recommendation holds, by what was seen last."""

    reasons: list[str] = field(default_factory=list)
    """Why not; empty when it does."""

    @property
    def is_valid(self) -> bool:
        return not self.reasons


def standings(database: Database, recommendations: Sequence[Recommendation]) -> dict[str, Standing]:
    """By id of the recommendation."""
    with database.read() as session:
        seen = devices.listing(session)
        known = workloads.listing(session)
    return {each.id: standing(each, seen, known) for each in recommendations}


def standing(
    recommendation: Recommendation,
    seen: Sequence[DeviceRow],
    known: Sequence[WorkloadRow],
) -> Standing:
    """``seen`` and ``known`` are what the store has of devices and workloads, last seen first."""
    reasons = [*_other_software(recommendation, seen), *_other_source(recommendation, known)]
    return Standing(reasons)


def _other_software(recommendation: Recommendation, seen: Sequence[DeviceRow]) -> list[str]:
    """The same hardware, seen later with something else installed."""
    key = recommendation.valid.get("fingerprint")
    own = next((record for record in seen if record.key == key and record.document), None)
    if own is None:
        return []
    measured_on = Fingerprint.from_dict(own.document)
    for record in seen:
        if record.key == key:
            return []
        if not record.document or record.kind != own.kind:
            continue
        now = Fingerprint.from_dict(record.document)
        if hardware(now) == hardware(measured_on) != {}:
            changes = "; ".join(measured_on.differences(now)) or f"fingerprint {key} -> {now.key}"
            return [f"The device was last seen with other software: {changes}."]
    return []


def hardware(fingerprint: Fingerprint) -> dict[str, str]:
    """What tells this very device from every other; empty where that is not known."""
    known = {name: fingerprint.identity.get(name) for name in HARDWARE}
    return {name: value for name, value in known.items() if isinstance(value, str)}


def _other_source(recommendation: Recommendation, known: Sequence[WorkloadRow]) -> list[str]:
    before = recommendation.valid.get("workload_hash")
    options = json.dumps(recommendation.valid.get("workload_options") or {}, sort_keys=True)
    for record in known:
        if record.reference != recommendation.workload:
            continue
        if json.dumps(record.options, sort_keys=True) != options:
            continue
        if before is None or record.source_hash == before:
            return []
        return [f"The source of {recommendation.workload} has changed since."]
    return []
