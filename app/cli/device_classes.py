"""``tonnage tune --devices-class``: the device classes of this machine, one study for each.

A class is devices of one make, size and power limit. A memory budget emulates a smaller device, so
several budgets are several classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from app.cli.given import listed
from probes.errors import InputError

if TYPE_CHECKING:
    from app.settings import Settings

ALL = "all"


@dataclass(frozen=True)
class LocalClass:
    """Devices of this machine that are of one class."""

    class_key: str
    name: str
    devices: tuple[str, ...]
    memory_budget: str | None = None
    """As it was typed; ``None`` for all the memory that the devices have."""

    @property
    def shown(self) -> str:
        """For people."""
        budget = f" with {self.memory_budget}" if self.memory_budget else ""
        return f"{self.name}{budget} ({', '.join(self.devices)})"

    @property
    def answers_to(self) -> set[str]:
        """What the option may call it, in lower case."""
        kinds = {device.partition(":")[0] for device in self.devices}
        return {each.lower() for each in (self.class_key, self.name, *self.devices, *kinds)}


Class = TypeVar("Class", bound=LocalClass)


def classes_here(
    settings: Settings, python: str | None, wanted: str, memory_budget: str | None
) -> list[LocalClass]:
    """The wanted classes, best first: ``all``, or those with this class key, product name, kind or
    device. Each memory budget (separated by commas) is a class of its own.

    Raises ``InputError`` for a class that is not here, and ``MeasurementError`` when the
    interpreter has no usable torch.
    """
    from app.machine.target import find_devices
    from probes.devices.base import DeviceFacts
    from probes.devices.fingerprint import build_fingerprint
    from probes.devices.telemetry import Telemetry

    prober, found = find_devices(settings, python)
    prober.close()
    seen: dict[str, list[DeviceFacts]] = {}
    for raw in found["devices"]:
        facts = DeviceFacts(**raw)
        key = build_fingerprint(facts, Telemetry(facts)).class_key
        seen.setdefault(key, []).append(facts)
    whole = [
        LocalClass(key, members[0].name, tuple(each.device for each in members))
        for key, members in seen.items()
    ]
    return emulated(named(whole, wanted), memory_budget)


def named(classes: Sequence[Class], wanted: str) -> list[Class]:
    """Those that the option means. Raises ``InputError`` where it means none."""
    name = wanted.strip().lower()
    meant = [each for each in classes if name == ALL or name in each.answers_to]
    if not meant:
        there = "; ".join(f"{each.class_key}: {each.shown}" for each in classes)
        raise InputError(
            f"--devices-class {wanted}: there is no such class of devices here. There are: {there}."
        )
    return meant


def emulated(classes: Sequence[Class], memory_budget: str | None) -> list[Class]:
    """Each class once for every memory budget."""
    sizes = listed(memory_budget, "--memory-budget")
    if not sizes:
        return list(classes)
    if len(set(sizes)) < len(sizes):
        raise InputError(f"--memory-budget {memory_budget}: each size is a class; give it once.")
    return [replace(each, memory_budget=size) for each in classes for size in sizes]
