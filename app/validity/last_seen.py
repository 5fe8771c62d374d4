"""What was true when the store last heard of it: no machine is looked at.

The dashboard uses this for every recommendation on a page. It knows of a change only after a later
measurement or study has recorded it: other software on the same hardware, or another source of the
same workload with the same options. A device or workload that was not seen again is still valid.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from app.database import Database
from app.database.models.results import DeviceRow, WorkloadRow
from app.devices import repository as devices
from app.validity.comparison import Conditions, Validity, compare, measured_with
from app.workloads import repository as workloads
from optimizer.records import Recommendation
from probes.devices.fingerprint import Fingerprint

HARDWARE = ("uuid", "machine", "ranks")
"""The entries of an identity that stay the same whatever software is installed."""


def validities(
    database: Database, recommendations: Sequence[Recommendation]
) -> dict[str, Validity]:
    """By id of the recommendation."""
    with database.read() as session:
        seen = devices.listing(session)
        known = workloads.listing(session)
    return {each.id: validity(each, seen, known) for each in recommendations}


def validity(
    recommendation: Recommendation,
    seen: Sequence[DeviceRow],
    known: Sequence[WorkloadRow],
) -> Validity:
    """``seen`` and ``known`` are the stored devices and workloads, last seen first."""
    own = next((record for record in seen if record.key == recommendation.fingerprint), None)
    then = measured_with(recommendation, own.groups if own else None)
    device = _last_of_hardware(own, seen) if own else None
    now = Conditions(
        fingerprint=device.key if device else None,
        groups=device,
        source_hash=_last_source(recommendation, known),
    )
    return compare(recommendation.workload, then, now)


def hardware(device: DeviceRow) -> dict[str, str]:
    """What distinguishes this very device, or group of devices, from every other; empty where that
    is not known."""
    identity = device.groups.identity if device.groups else {}
    found = {}
    for name in HARDWARE:
        value = identity.get(name)
        if isinstance(value, (str, int, list)):
            found[name] = value if isinstance(value, str) else json.dumps(value)
    return found if found.keys() - {"ranks"} else {}


def _last_of_hardware(own: DeviceRow, seen: Sequence[DeviceRow]) -> Fingerprint | None:
    """The fingerprint that this hardware had last; ``None`` where its hardware is not known."""
    same = hardware(own)
    for record in seen:
        if record.key == own.key:
            return None  # not seen with other software since
        if record.kind == own.kind and hardware(record) == same != {}:
            return record.groups
    return None


def _last_source(recommendation: Recommendation, known: Sequence[WorkloadRow]) -> str | None:
    options = recommendation.valid.get("workload_options") or {}
    return next(
        (
            record.source_hash
            for record in known
            if record.reference == recommendation.workload and _same(record.options, options)
        ),
        None,
    )


def _same(options: object, others: object) -> bool:
    return json.dumps(options, sort_keys=True) == json.dumps(others, sort_keys=True)
