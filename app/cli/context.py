"""What a command needs to begin: settings, logging, and the shared options turned into values."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.specs import absolute_spec
from probes.errors import InputError
from probes.formatting import parse_size
from probes.job import WorkloadRef
from probes.space import parse_assignments

__all__ = [
    "Asked",
    "absolute_spec",
    "ask",
    "find_workload",
    "is_quiet",
    "open_database",
    "open_settings",
    "set_verbosity",
    "verbosity",
]

if TYPE_CHECKING:
    from app.database import Database
    from app.machine.session import MeasuringSession
    from app.machine.target import Target
    from app.settings import Settings
    from probes.devices.lease import OnWait
    from probes.isolation import Progress

_verbosity = 0


def set_verbosity(level: int) -> None:
    """-2 quiet, 0 normal, 1 and more verbose: set once, before the command runs."""
    global _verbosity  # noqa: PLW0603
    _verbosity = level


def verbosity() -> int:
    return _verbosity


def is_quiet() -> bool:
    return _verbosity < 0


def open_settings(**probe: Any) -> Settings:
    """Read the configuration and start logging. ``probe`` are keys of its ``[probe]`` that the
    command line gives; ``None`` where it does not. Raises ``InputError``."""
    from app.logging_setup import configure_logging
    from app.settings import load_settings

    given = {key: value for key, value in probe.items() if value is not None}
    settings = load_settings(overrides={"probe": given} if given else None)
    configure_logging(_verbosity, settings.data_dir)
    return settings


def open_database(settings: Settings, url: str | None) -> Database:
    """The database, created and migrated to this version where it is not."""
    from app.database import open_database

    return open_database(url or settings.database_url)


@dataclass(frozen=True)
class Asked:
    """A workload on a device, as a command line describes them."""

    settings: Settings
    workload: WorkloadRef
    target: Target
    pinned: dict[str, Any]
    headroom: float
    effective_batch_size: int | None

    def open_session(
        self, on_progress: Progress | None = None, *, rests_on_time: bool = True
    ) -> MeasuringSession:
        """Load the workload (in a worker). Raises ``InputError``."""
        from app.machine.session import MeasuringSession

        return MeasuringSession.open(
            self.settings,
            self.workload,
            self.target,
            self.headroom,
            on_progress,
            effective_batch_size=self.effective_batch_size,
            rests_on_time=rests_on_time,
        )

    def lease(self, on_wait: OnWait | None = None) -> AbstractContextManager[None]:
        """Keep the device to this command while it measures; see ``Target.lease``."""
        return self.target.lease(self.settings, on_wait)


@dataclass(frozen=True)
class What:
    """What is to be measured, as a command line says it: a workload, or a command."""

    workload: str | None = None
    command: str | None = None
    space: list[str] | None = None
    step: str | None = None


def ask(
    what: What,
    *,
    device: str | None,
    memory_budget: str | None,
    python: str | None,
    set_: list[str] | None,
    option: list[str] | None,
    headroom: float | None,
    effective_batch_size: int | None = None,
    wait: float | None = None,
    accept_disturbed: bool | None = None,
) -> Asked:
    """Check what can be checked without a device first, then find the device."""
    settings = open_settings(lease_wait_s=wait, accept_disturbed=accept_disturbed)
    budget_bytes = parse_size(memory_budget) if memory_budget else None

    from app.machine.target import open_target

    reference, own_python, pinned = find(settings, what, set_, option)
    target = open_target(settings, python or own_python, device, budget_bytes)
    return Asked(
        settings,
        reference,
        target,
        pinned,
        settings.headroom if headroom is None else headroom,
        effective_batch_size,
    )


def find(
    settings: Settings, what: What, set_: list[str] | None, option: list[str] | None
) -> tuple[WorkloadRef, str | None, dict[str, Any]]:
    """The workload or command, its interpreter, and what is pinned. Raises ``InputError``."""
    from app.workloads import commands
    from probes.black_box.command import command_of, is_command

    pinned = parse_assignments(set_ or [], "--set")
    options = parse_assignments(option or [], "--option")
    space = parse_assignments(what.space or [], "--space", as_text=True)
    own = {name: v for name, v in (("space", space), ("step", what.step)) if v}
    if (what.workload is None) == (what.command is None):
        raise InputError(
            "Say what to train: a WORKLOAD, or a command with --command, and not both."
        )
    if what.command is not None:
        reference = commands.ad_hoc(what.command, {**options, **own}, pinned, Path.cwd())
        python = commands.interpreter(reference)
    else:
        reference, python = find_workload(settings, str(what.workload), {**options, **own})
    if is_command(reference):
        command_of(reference).check_values(pinned)
    elif own:
        raise InputError(f"--{next(iter(own))} is for commands; {what.workload} is none.")
    return reference, python, pinned


def find_workload(
    settings: Settings, workload: str, options: dict[str, Any]
) -> tuple[WorkloadRef, str | None]:
    """A registered name, a file or a module as a workload, with the interpreter that is registered
    for it."""
    from app.workloads.registry import registered

    entry = registered(settings).get(workload)
    if entry is None:
        return WorkloadRef(absolute_spec(workload), options), None
    return entry.with_options(options), entry.python
