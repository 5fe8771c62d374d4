"""What ``probe``, ``max-batch`` and ``tune`` share: their options, and the way to a device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli import options
from app.cli.context import find_workload, fleet_address, open_database, open_settings
from app.cli.given import listed
from probes.errors import InputError
from probes.formatting import parse_size
from probes.job import WorkloadRef
from probes.space import Space, allows
from probes.space_text import parse_assignments

if TYPE_CHECKING:
    from app.database import Database
    from app.machine.session import MeasuringSession
    from app.machine.target import Target
    from app.settings import Settings
    from probes.devices.lease import OnWait
    from probes.timeouts import Progress


@dataclass(frozen=True, kw_only=True)
class MeasuringOptions:
    """The shared options as they were typed. Each field becomes an option of the command."""

    workload: options.WorkloadOrCommand = None
    command: options.Command = None
    space: options.Space = None
    step: options.Step = None
    dry_run: options.DryRun = False
    set_: options.Set = None
    option: options.Option = None
    device: options.Device = None
    devices: options.Devices = None
    nodes: options.Nodes = None
    memory_budget: options.RankBudget = None
    headroom: options.Headroom = None
    effective_batch_size: options.EffectiveBatchSize = None
    python: options.Python = None
    wait: options.Wait = None
    database: options.Database = None
    json_: options.Json = False

    def find(self, settings: Settings) -> tuple[WorkloadRef, str | None, dict[str, Any]]:
        """The workload or command, the interpreter registered for it, and what ``--set`` pins.

        Raises ``InputError``.
        """
        from app.workloads import commands
        from probes.black_box.command import command_of, is_command

        pinned = parse_assignments(self.set_ or [], "--set")
        fixed = parse_assignments(self.option or [], "--option")
        space = parse_assignments(self.space or [], "--space", as_text=True)
        only_commands = {name: v for name, v in (("space", space), ("step", self.step)) if v}
        if self.workload is None and self.command is None:
            raise InputError("Say what to measure: give a WORKLOAD or --command TEMPLATE.")
        if self.workload is not None and self.command is not None:
            raise InputError("Give either a WORKLOAD or --command, not both.")
        given = {**fixed, **only_commands}
        if self.command is not None:
            reference = commands.ad_hoc(self.command, given, pinned, Path.cwd())
            python = commands.interpreter(reference)
        else:
            reference, python = find_workload(settings, str(self.workload), given, self.database)
        if is_command(reference):
            command_of(reference).check_values(pinned)
            _check_pinned(command_of(reference).space, pinned, space)
        elif only_commands:
            name = next(iter(only_commands))
            raise InputError(f"--{name} needs --command; {self.workload!r} is a workload.")
        return reference, python, pinned

    @property
    def budgets(self) -> list[int]:
        """Bytes of the memory budget, or of one per rank. Raises ``InputError``."""
        return [parse_size(size) for size in listed(self.memory_budget, "--memory-budget")]

    def resolve(self, *, accept_disturbed: bool | None = None) -> ResolvedOptions:
        """Check everything that needs no device, then find the device. Raises ``InputError``."""
        settings = open_settings(lease_wait_s=self.wait, accept_disturbed=accept_disturbed)
        budgets = self.budgets
        workload, own_python, pinned = self.find(settings)
        target = self._target(settings, workload, self.python or own_python, budgets)
        return ResolvedOptions(
            settings=settings,
            workload=workload,
            target=target,
            pinned=pinned,
            headroom=settings.headroom if self.headroom is None else self.headroom,
            effective_batch_size=self.effective_batch_size,
            database=open_database(settings, self.database),
        )

    def _target(
        self, settings: Settings, workload: WorkloadRef, python: str | None, budgets: list[int]
    ) -> Target:
        """The device or the devices, here or on nodes of the fleet. Raises ``InputError``."""
        if self.nodes is None:
            from app.machine.target import open_target

            return open_target(settings, python, self.device, budgets, self.devices)

        from app.fleet.gangs import asked_gang, open_gang

        asked = asked_gang(self.devices, self.nodes, self.device)
        fleet = fleet_address(settings, "auto", None)
        assert fleet is not None
        # Each node has an interpreter of its own for a registered workload.
        return open_gang(settings, fleet, workload, self.python, asked, budgets, own_python=python)


@dataclass(frozen=True)
class ResolvedOptions:
    """A workload on a device, with the database that keeps what is measured."""

    settings: Settings
    workload: WorkloadRef
    target: Target
    pinned: dict[str, Any]
    headroom: float
    effective_batch_size: int | None
    database: Database

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


def _check_pinned(space: Space, pinned: dict[str, Any], typed: dict[str, str]) -> None:
    """Raises ``InputError`` where ``--set`` gives a value that ``--space`` of the same command line
    does not have."""
    for name in pinned.keys() & typed.keys():
        if not allows(space[name], pinned[name]):
            raise InputError(
                f"--set {name}={pinned[name]} is not one of --space {name}={typed[name]}. Change "
                "one of them."
            )


measuring = options.declared_in(MeasuringOptions)
"""Makes ``command(shared: MeasuringOptions, **own)`` a command with its own options and these."""
measuring_alone = options.declared_in(MeasuringOptions, hidden=("devices", "nodes"))
"""The same for a command that measures on a single device only."""
