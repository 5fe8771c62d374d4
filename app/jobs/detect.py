"""What this host can offer: its devices as each interpreter sees them, and what is registered."""

from __future__ import annotations

import logging
from collections.abc import Collection

from app.jobs.offers import DeviceOffer, Offers
from app.settings import Settings
from app.target import find_devices
from app.workloads.registry import registered
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import build_fingerprint
from probes.devices.host import hashed_machine_id
from probes.devices.lease import lease_key
from probes.devices.telemetry import Telemetry
from probes.errors import MeasurementError, TonnageError

log = logging.getLogger(__name__)


def detect(settings: Settings, only: Collection[str] = ()) -> Offers:
    """Look once with every interpreter that a registered workload has; takes seconds for each.

    ``only`` are names of devices (``cuda:0``) to offer and no others. Raises ``MeasurementError``
    when there is nothing to offer.
    """
    workloads = {name: entry.python or "" for name, entry in registered(settings).items()}
    devices: list[DeviceOffer] = []
    problems: list[str] = []
    for python in sorted(set(workloads.values())):
        try:
            devices += _seen_by(settings, python)
        except TonnageError as error:
            names = ", ".join(name for name, p in workloads.items() if p == python)
            problems.append(f"{names}: {error}")
            log.warning("Not offered here: %s", problems[-1])
    seen = sorted({offer.device for offer in devices})
    if only:
        devices = [offer for offer in devices if offer.device in only]
    if not devices:
        raise MeasurementError(
            f"There is nothing to run studies on. Asked for: {', '.join(only) or 'any device'}; "
            f"found: {', '.join(seen) or 'none'}. {' '.join(problems)}".rstrip()
        )
    usable = {offer.python for offer in devices}
    return Offers({n: p for n, p in workloads.items() if p in usable}, tuple(devices))


def _seen_by(settings: Settings, python: str) -> list[DeviceOffer]:
    prober, found = find_devices(settings, python or None)
    prober.close()
    offers = []
    for raw in found["devices"]:
        facts = DeviceFacts(**raw)
        fingerprint = build_fingerprint(facts, Telemetry(facts))
        offers.append(
            DeviceOffer(
                python=python,
                device=facts.device,
                kind=facts.kind,
                name=facts.name,
                fingerprint=fingerprint.key,
                class_key=fingerprint.class_key,
                total_bytes=facts.total_bytes,
                lease=lease_of(facts),
            )
        )
    return offers


def lease_of(facts: DeviceFacts) -> str:
    """The device's own name where it has one, else what this machine calls it."""
    key = lease_key(facts)
    own = isinstance(facts.identity.get("uuid"), str)
    return key if own else f"{hashed_machine_id()}/{key}"
