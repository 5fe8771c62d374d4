"""What this host can offer: its devices as each interpreter sees them, and what is registered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from app.jobs.offers import DeviceOffer, FineTuningOffer, Offers
from app.machine.device_groups import links_of
from app.machine.target import find_devices
from app.settings import Settings, find_file, load_settings
from app.workloads.registry import registered
from optimizer.records import short_hash
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import build_fingerprint
from probes.devices.host import hashed_machine_id
from probes.devices.lease import lease_key
from probes.devices.telemetry import Telemetry
from probes.errors import MeasurementError, TonnageError

log = logging.getLogger(__name__)


class Detector:
    """Finds out what this host offers, and does so again when ``tonnage.toml`` has changed.

    ``only`` are names of devices (``cuda:0``) to offer and no others. An interpreter is asked for
    its devices once, which takes seconds.
    """

    def __init__(
        self,
        settings: Settings,
        only: Collection[str] = (),
        *,
        load: Callable[[], Settings] = load_settings,
    ) -> None:
        self._settings = settings
        self._only = only
        self._load = load
        self._seen: dict[str, list[DeviceOffer]] = {}
        self._problems: dict[str, str] = {}
        self._file = state_of_file()

    def offers(self) -> Offers:
        """Everything registered on every device. Raises ``MeasurementError`` when there is nothing
        to offer."""
        workloads = {name: entry.python or "" for name, entry in registered(self._settings).items()}
        finetuning = finetuning_offer(self._settings)
        own = self._settings.bundles
        bundles = (own.python or "") if own.accept else None
        pythons = {*workloads.values(), *([finetuning.python] if finetuning is not None else [])}
        pythons |= set() if bundles is None else {bundles}
        for python in sorted(pythons - set(self._seen) - set(self._problems)):
            try:
                self._seen[python] = _seen_by(self._settings, python)
            except TonnageError as error:
                names = ", ".join(name for name, p in workloads.items() if p == python)
                names = names or ("bundles" if python == bundles else "fine-tuning")
                self._problems[python] = f"{names}: {error}"
                log.warning("Not offered here: %s", self._problems[python])
        found = [offer for python in self._seen for offer in self._seen[python]]
        devices = [offer for offer in found if not self._only or offer.device in self._only]
        if not devices:
            raise MeasurementError(
                f"There is nothing to run studies on. Asked for: "
                f"{', '.join(self._only) or 'any device'}; found: "
                f"{', '.join(sorted({offer.device for offer in found})) or 'none'}. "
                f"{' '.join(self._problems.values())}".rstrip()
            )
        usable = {offer.python for offer in devices}
        if finetuning is not None and finetuning.python not in usable:
            finetuning = None
        usable_here = {n: p for n, p in workloads.items() if p in usable}
        bundles = bundles if bundles in usable else None
        return Offers(usable_here, tuple(devices), finetuning, bundles)

    def changed(self) -> Offers | None:
        """What there is now, if the configuration is another one than at the last look; a broken
        one is warned of, and what was offered before stays."""
        state = state_of_file()
        if state == self._file:
            return None
        self._file = state
        try:
            self._settings = self._load()
            self._problems.clear()
            return self.offers()
        except TonnageError as error:
            log.warning("The changed configuration is not used: %s", error)
            return None


def finetuning_offer(settings: Settings) -> FineTuningOffer | None:
    """What is registered for fine-tuning; ``None`` without a model or without data."""
    own = settings.finetuning
    if not own.models or not own.data:
        return None
    names = (tuple(sorted(each)) for each in (own.models, own.data, own.tasks))
    return FineTuningOffer(own.python or "", *names)


def state_of_file() -> tuple[str, int, int] | None:
    """Path, time and size of the configuration file in use: a change is seen without reading it."""
    try:
        path = find_file()
        if path is None:
            return None
        stat = path.stat()
    except (OSError, TonnageError):
        return None
    return str(path), stat.st_mtime_ns, stat.st_size


def _seen_by(settings: Settings, python: str) -> list[DeviceOffer]:
    prober, found = find_devices(settings, python or None)
    prober.close()
    budget = settings.runner.memory_budget_bytes
    offers = []
    devices = [DeviceFacts(**raw) for raw in found["devices"]]
    links = links_of(devices)
    for facts in devices:
        fingerprint = build_fingerprint(facts, Telemetry(facts))
        is_smaller = budget is not None and budget < facts.total_bytes
        class_key = fingerprint.class_key
        offers.append(
            DeviceOffer(
                python=python,
                device=facts.device,
                kind=facts.kind,
                name=facts.name,
                fingerprint=fingerprint.key,
                class_key=short_hash([class_key, budget]) if is_smaller else class_key,
                total_bytes=budget if budget is not None and is_smaller else facts.total_bytes,
                lease=lease_of(facts),
                links=links[facts.device],
            )
        )
    return offers


def lease_of(facts: DeviceFacts) -> str:
    """The device's own name where it has one, else what this machine calls it."""
    key = lease_key(facts)
    own = isinstance(facts.identity.get("uuid"), str)
    return key if own else f"{hashed_machine_id()}/{key}"
