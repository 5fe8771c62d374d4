"""Does this machine meet an environment page? The facts are gathered here; ``knowledge`` judges.

Nothing is imported, and of environment variables only the names are read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.machine.interpreter import interpreter_facts
from app.machine.local_facts import devices_here, timeouts
from app.settings import Settings
from knowledge.environments import (
    Answer,
    DeviceFact,
    Facts,
    RequirementKind,
    is_met,
    judge,
    requirements,
)
from knowledge.model import Page
from probes.devices import host
from probes.errors import MeasurementError
from probes.interpreter import resolve_python


@dataclass(frozen=True)
class EnvironmentAnswer:
    """An environment page and what this machine has of it."""

    page: Page
    answers: Sequence[Answer]

    @property
    def is_met(self) -> bool:
        """Whether everything that is required and can be checked is there."""
        return is_met(self.answers)


@dataclass(frozen=True)
class Environment:
    """A machine and an interpreter, as far as a page may ask about them."""

    interpreter: str
    """Path of the interpreter."""
    facts: Facts
    notes: Sequence[str]
    """What could not be found out, in words."""


def environment_here(
    settings: Settings, python: str | None, pages: Iterable[Page] = ()
) -> Environment:
    """Facts of this machine and of the interpreter that would train (see ``resolve_python``).

    Programs are looked for that ``pages`` require. Raises ``InputError`` where there is no such
    interpreter and ``MeasurementError`` where it does not answer.
    """
    executable = resolve_python(python)
    found = interpreter_facts(executable)
    devices, notes = _devices(settings, python, "torch" in found.packages)
    wanted = {
        member
        for page in pages
        for each in requirements(page)
        if each.kind is RequirementKind.PROGRAM
        for choice in each.choices
        for member in choice
    }
    facts = Facts(
        python=found.python,
        packages=found.packages,
        os=found.system.lower(),
        devices=tuple(devices),
        free_disk_bytes=_free_disk_bytes(),
        variables=frozenset(name for name, value in os.environ.items() if value),
        programs=frozenset(name for name in wanted if shutil.which(name)),
    )
    return Environment(executable, facts, notes)


def judged(page: Page, environment: Environment) -> EnvironmentAnswer:
    """The answer to every requirement of a page."""
    answers = [judge(each, environment.facts) for each in requirements(page)]
    return EnvironmentAnswer(page, answers)


def _devices(
    settings: Settings, python: str | None, has_torch: bool
) -> tuple[list[DeviceFact], list[str]]:
    """As torch in the interpreter sees them; without torch, those that the drivers show."""
    if has_torch:
        try:
            found = devices_here(python, timeouts(settings))["devices"]
            return [DeviceFact(each["kind"], each["total_bytes"]) for each in found], []
        except MeasurementError as error:
            notes = [f"torch could not be asked for devices: {error}"]
    else:
        notes = ["The interpreter has no torch; devices are those that the drivers show."]
    return [*_of_drivers(), DeviceFact("cpu", host.memory_total_bytes())], notes


def _of_drivers() -> list[DeviceFact]:
    from probes.devices.nvml import NvmlDevice
    from probes.devices.reading import Missing

    devices = NvmlDevice.all()
    if isinstance(devices, Missing):
        return []
    sizes = [device.total_bytes for device in devices]
    return [DeviceFact("cuda", None if isinstance(size, Missing) else size) for size in sizes]


def _free_disk_bytes() -> int | None:
    try:
        return shutil.disk_usage(Path.cwd()).free
    except OSError:
        return None
