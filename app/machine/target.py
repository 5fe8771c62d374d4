"""Where to measure: an interpreter, a device of it, and what identifies both."""

from __future__ import annotations

import shlex
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from app.machine.local_facts import choose, probe_environment, remember_devices, timeouts
from app.settings import Settings
from optimizer.records import Scope
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, build_fingerprint
from probes.devices.lease import OnWait, lease
from probes.devices.telemetry import Telemetry
from probes.errors import InputError
from probes.formatting import size_text
from probes.job import WorkloadRef
from probes.prober import Prober, resolve_python


@dataclass(frozen=True)
class Target:
    """A device as the chosen interpreter sees it, with everything a probe on it needs."""

    prober: Prober
    facts: DeviceFacts
    telemetry: Telemetry
    fingerprint: Fingerprint
    interpreter: dict[str, Any]
    memory_budget_bytes: int | None
    """What ``--memory-budget`` asked for; ``None`` for the whole device."""
    asked_python: str | None = None
    """The interpreter that was asked for; ``None`` for the usual one."""

    @property
    def limit_bytes(self) -> int:
        return self.memory_budget_bytes or self.facts.total_bytes

    def lease(
        self, settings: Settings, on_wait: OnWait | None = None
    ) -> AbstractContextManager[None]:
        """Keep the device to this process while it measures, as configured.

        Raises ``MeasurementError`` when another one has it and is not done in time.
        """
        return lease(
            self.facts,
            command=shlex.join(["tonnage", *sys.argv[1:]]),
            wait_s=settings.probe.lease_wait_s,
            folder=settings.probe.lease_dir,
            on_wait=on_wait,
        )

    def scope(self, workload: WorkloadRef, source_hash: str, headroom: float) -> Scope:
        """What must be equal for a stored measurement to be used again."""
        return Scope(
            workload=workload.label,
            workload_hash=source_hash,
            fingerprint=self.fingerprint.key,
            device=self.facts.device,
            limit_bytes=self.limit_bytes,
            headroom=headroom,
            environment=probe_environment(self.facts.device, self.facts.environment),
        )


def find_devices(settings: Settings, python: str | None) -> tuple[Prober, dict[str, Any]]:
    """A prober for the interpreter, and what devices torch has there, best first."""
    prober = Prober(resolve_python(python), timeouts(settings))
    found = prober.devices()
    remember_devices(python, found)
    return prober, found


def open_target(
    settings: Settings, python: str | None, device: str | None, memory_budget_bytes: int | None
) -> Target:
    """Detect the devices and take the one asked for, or the best.

    Raises ``InputError`` for a device that is not here or a budget larger than it, and
    ``MeasurementError`` when the interpreter has no usable torch.
    """
    prober, found = find_devices(settings, python)
    facts = DeviceFacts(**choose(found, device))
    if memory_budget_bytes is not None and memory_budget_bytes > facts.total_bytes:
        raise InputError(
            f"--memory-budget {size_text(memory_budget_bytes)} is more than {facts.device} has "
            f"({size_text(facts.total_bytes)})."
        )
    telemetry = Telemetry(facts)
    return Target(
        prober,
        facts,
        telemetry,
        build_fingerprint(facts, telemetry),
        found["interpreter"],
        memory_budget_bytes,
        python,
    )
