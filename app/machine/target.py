"""Where to measure: an interpreter, one or several devices of it, and what identifies them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from app.machine import groups
from app.machine.budgets import check_budget
from app.machine.local_facts import choose, probe_environment, remember_devices, timeouts
from app.machine.own_command import own_command
from app.settings import Settings
from optimizer.records import Scope
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, build_fingerprint
from probes.devices.lease import OnWait, lease
from probes.devices.telemetry import Telemetry
from probes.energy.power_limit import give_back_left_over
from probes.errors import InputError
from probes.group import Group, group_of, is_group
from probes.interpreter import resolve_python
from probes.job import WorkloadRef
from probes.measurement import Measurement
from probes.prober import Prober
from probes.ranks.network import Network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """A device, or a group of devices, as the chosen interpreter sees it, with everything that a
    probe on it needs."""

    prober: Prober
    facts: DeviceFacts
    telemetry: Telemetry
    fingerprint: Fingerprint
    interpreter: dict[str, Any]
    memory_budget_bytes: int | None
    """What ``--memory-budget`` asked for, of a group the least of its ranks; ``None`` for the whole
    device."""
    asked_python: str | None = None
    """The interpreter that was asked for; ``None`` for the usual one."""
    group: Group | None = None
    """The devices that train as one; ``None`` for a single device."""
    members: tuple[DeviceFacts, ...] = ()
    """The devices of the group, in the order of their ranks."""

    @property
    def limit_bytes(self) -> int:
        return self.memory_budget_bytes or self.facts.total_bytes

    @property
    def network(self) -> Network | None:
        """How fast the ranks of several hosts exchange data; ``None`` on a single host."""
        return None

    def checked(self, measurement: Measurement) -> Measurement:
        """The measurement, if it says something about the config."""
        return measurement

    @contextmanager
    def lease(self, settings: Settings, on_wait: OnWait | None = None) -> Iterator[None]:
        """Keep the device, or all devices of the group, to this process while it measures, as
        configured. A power limit that a killed sweep left behind is given back first.

        Raises ``MeasurementError`` when another one has it and is not done in time.
        """
        devices, folder = self.members or (self.facts,), settings.probe.lease_dir
        command, wait_s = own_command(), settings.probe.lease_wait_s
        with lease(*devices, command=command, wait_s=wait_s, folder=folder, on_wait=on_wait):
            for text in give_back_left_over(devices, folder):
                log.warning(text)
            yield

    def scope(self, workload: WorkloadRef, source_hash: str, headroom: float) -> Scope:
        """What must be equal for a stored measurement to be used again."""
        return Scope(
            workload=workload.label,
            workload_hash=source_hash,
            fingerprint=self.fingerprint.key,
            device=self.facts.device,
            limit_bytes=self.limit_bytes,
            headroom=headroom,
            environment=self._environment,
        )

    def of_one_rank(self) -> Target:
        """The first rank of the group alone, with its share of the memory and of the cores."""
        assert self.group is not None
        budget = self.group.limits[0] if self.group.limits else self.memory_budget_bytes
        group, members = groups.one_of(self.group), self.members[:1]
        facts = replace(
            self.facts,
            device=group.label,
            name=members[0].name,
            total_bytes=members[0].total_bytes
            if self.group.kind != "cpu"
            else self.facts.total_bytes,
        )
        return replace(
            self,
            facts=facts,
            telemetry=groups.group_telemetry(group, members),
            fingerprint=groups.fingerprint_of_group(group, members),
            memory_budget_bytes=budget,
            group=group,
            members=members,
        )

    @property
    def _environment(self) -> dict[str, str]:
        """Allocator settings and threads, and the memory budgets of ranks that differ in them."""
        found = probe_environment(self.facts.device, self.facts.environment, self.group)
        if self.group is not None and self.group.limits is not None:
            found["memory_budgets"] = ",".join(map(str, self.group.limits))
        return found


def find_devices(settings: Settings, python: str | None) -> tuple[Prober, dict[str, Any]]:
    """A prober for the interpreter, and what devices torch has there, best first."""
    prober = Prober(resolve_python(python), timeouts(settings))
    found = prober.devices()
    remember_devices(python, found)
    return prober, found


def open_target(
    settings: Settings,
    python: str | None,
    device: str | None,
    memory_budget_bytes: int | Sequence[int] | None,
    devices: str | int | None = None,
) -> Target:
    """Detect the devices and take the one asked for, the best, or the group that ``devices`` or a
    label as ``device`` names. Of a group, ``memory_budget_bytes`` is for every rank, or one each.

    Raises ``InputError`` for a device that is not here or a budget larger than it, and
    ``MeasurementError`` when the interpreter has no usable torch.
    """
    prober, found = find_devices(settings, python)
    budgets = (
        list(memory_budget_bytes)
        if isinstance(memory_budget_bytes, Sequence)
        else [memory_budget_bytes]
        if memory_budget_bytes is not None
        else []
    )
    group = groups.asked_group([each["device"] for each in found["devices"]], device, devices)
    if group is not None and group.size == 1:
        device = group.devices[0]
    elif group is not None:
        return _open_group(prober, found, group, budgets, python)
    if len(budgets) > 1:
        raise InputError("--memory-budget: several sizes are for several ranks: add --devices.")
    facts = DeviceFacts(**choose(found, device))
    if budgets:
        check_budget(budgets[0], facts.device, facts.total_bytes)
    telemetry = Telemetry(facts)
    return Target(
        prober,
        facts,
        telemetry,
        build_fingerprint(facts, telemetry),
        found["interpreter"],
        budgets[0] if budgets else None,
        python,
    )


def open_single(
    settings: Settings,
    python: str | None,
    device: str | None,
    memory_budget_bytes: int | None,
    what: str,
) -> Target:
    """As ``open_target``, for what runs on one device only. Raises ``InputError`` for a label."""
    if device is not None and is_group(device):
        first = group_of(device).devices[0]
        raise InputError(
            f"{what} runs on a single device, and {device} names several: name one, such as "
            f"{first}."
        )
    return open_target(settings, python, device, memory_budget_bytes)


def _open_group(
    prober: Prober,
    found: dict[str, Any],
    group: Group,
    budgets: Sequence[int],
    python: str | None,
) -> Target:
    members = tuple(DeviceFacts(**choose(found, device)) for device in group.devices)
    group, least = groups.with_budgets(group, members, budgets)
    return Target(
        prober,
        groups.group_facts(group, members),
        groups.group_telemetry(group, members),
        groups.fingerprint_of_group(group, members),
        found["interpreter"],
        least,
        python,
        group,
        members,
    )
