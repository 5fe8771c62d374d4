"""What a node of the fleet has for a gang, as the process there that hosts its ranks tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from app.machine.local_facts import boot_id, devices_here, timeouts, workload_here
from app.settings import Settings
from app.workloads.registry import registered
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, build_fingerprint
from probes.devices.lease import lease_key
from probes.devices.links import link_between
from probes.devices.telemetry import Telemetry
from probes.errors import InputError
from probes.interpreter import resolve_python
from probes.job import WorkloadRef
from probes.ranks.remote.services import Services


@dataclass(frozen=True)
class SeenHost:
    """What a node has for a gang."""

    tonnage: str
    """Version."""
    leases: tuple[str, ...]
    """Of each device, with the boot of its machine: equal where two nodes mean the same device."""
    torch: str
    members: tuple[DeviceFacts, ...]
    """The devices of its ranks."""
    fingerprints: tuple[Fingerprint, ...]
    """Of each device."""
    link: Any
    """The slowest between two of them."""
    source_hash: str
    """Of the workload."""
    memory_budget_bytes: int | None
    """As the node was joined with."""


class NodeServices(Services):
    """See ``Services``; with the settings and the workloads of this host."""

    OFFERED: Sequence[str] = (*Services.OFFERED, "look")

    def __init__(self, interface: str, settings: Settings) -> None:
        super().__init__(interface, "", settings.probe.lease_dir)
        self._settings = settings

    def look(self, workload: WorkloadRef, python: str | None, kind: str, ranks: int) -> SeenHost:
        """The first devices of the kind, as the interpreter that trains the workload sees them, and
        the workload as it is here. Raises ``InputError`` where one of them is not, and
        ``MeasurementError`` without a usable torch."""
        entry = registered(self._settings).get(workload.name or workload.spec)
        if entry is not None:
            self.spec = entry.reference
        if python is None and entry is not None:
            python = entry.python
        longest = timeouts(self._settings)
        found = devices_here(python, longest)
        self.python = resolve_python(python)
        spec = self.spec or workload.spec
        described = workload_here(spec, workload.options, python, longest, refresh=False)
        known = [DeviceFacts(**each) for each in found["devices"]]
        here = [each for each in known if each.device.partition(":")[0] == kind]
        here = here[:1] * ranks if kind == "cpu" else here[:ranks]
        if len(here) < ranks:
            raise InputError(
                f"It has {len(here)} of the {ranks} {kind} devices that are wanted of each node."
            )
        self.members = here
        return SeenHost(
            tonnage=version("tonnage"),
            leases=tuple(
                f"{boot_id()} {self._settings.probe.lease_dir} {lease_key(each)}" for each in here
            ),
            torch=str(found["interpreter"].get("torch")),
            members=tuple(here),
            fingerprints=tuple(build_fingerprint(each, Telemetry(each)) for each in here),
            link=link_between(here),
            source_hash=described["source_hash"],
            memory_budget_bytes=self._settings.runner.memory_budget_bytes,
        )
