"""Whether stored recommendations still hold, as far as the store knows: without asking a device.

The devices that runners offer, and the devices and workloads that were seen last, say what is there
now. ``app.recommendations.check`` looks at the machine itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.database import Database
from app.devices import repository as devices
from app.devices.repository import DeviceRecord
from app.recommendations import repository
from app.workloads import repository as workloads
from app.workloads.repository import WorkloadRecord
from optimizer.records import Recommendation
from probes.devices.fingerprint import Fingerprint


@dataclass(frozen=True)
class Standing:
    """A recommendation, the device it was measured on, and why it no longer holds."""

    recommendation: Recommendation
    device: DeviceRecord | None
    reasons: list[str]
    """Empty while it holds."""

    @property
    def valid(self) -> bool:
        return not self.reasons


def newest(database: Database, limit: int) -> list[Standing]:
    """The newest recommendation of each workload, budget and device, newest first."""
    with database.read() as session:
        found = repository.newest_of_each(session, limit)
        known = devices.listing(session)
        sources = workloads.listing(session)
    return [standing(each, known, sources) for each in found]


def standing(
    recommendation: Recommendation,
    known: Sequence[DeviceRecord],
    sources: Sequence[WorkloadRecord],
) -> Standing:
    """``known`` and ``sources`` are what has been seen, last seen first."""
    key = str(recommendation.valid.get("fingerprint", ""))
    device = next((each for each in known if each.key == key), None)
    reasons = []
    successor = _successor(device, known)
    if device is not None and successor is not None:
        reasons.append(_change(device, successor))
    if _source_changed(recommendation, sources):
        reasons.append(
            f"The source or the options of {recommendation.workload} have changed since."
        )
    return Standing(recommendation, device, reasons)


def same_place(device: DeviceRecord | None, recommendation: Recommendation) -> str:
    """Equal for what was measured on one device before and after a change of its software."""
    if device is None:
        return str(recommendation.valid.get("fingerprint", ""))
    return f"{device.class_key or device.key} {_unit(device)}"


def _successor(device: DeviceRecord | None, known: Sequence[DeviceRecord]) -> DeviceRecord | None:
    """The same device with other software, seen after it was last seen as it was."""
    if device is None or not device.document:
        return None
    for each in known:
        if each.key == device.key or each.last_seen_at <= device.last_seen_at:
            continue
        if each.document and each.class_key == device.class_key and _unit(each) == _unit(device):
            return each
    return None


def _unit(device: DeviceRecord) -> str:
    """What tells one card from another of its class."""
    identity = device.document.get("identity", {})
    found = identity.get("uuid") or identity.get("machine") or ""
    return found if isinstance(found, str) else ""


def _change(before: DeviceRecord, now: DeviceRecord) -> str:
    changes = Fingerprint.from_dict(before.document).differences(
        Fingerprint.from_dict(now.document)
    )
    what = "; ".join(changes) or "its fingerprint is another one"
    return f"The device has changed since: {what}."


def _source_changed(recommendation: Recommendation, sources: Sequence[WorkloadRecord]) -> bool:
    """Whether the workload was last seen, with the same options, from another source."""
    measured = recommendation.valid.get("workload_hash")
    options = recommendation.valid.get("workload_options") or {}
    for each in sources:
        if each.reference == recommendation.workload and each.options == options:
            return measured not in (None, each.source_hash)
    return False
