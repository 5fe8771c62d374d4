"""From the options of ``tonnage check`` to what the store or a service is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.checks.request import CheckRequest
from app.cli.checking.command import CheckCommand
from app.cli.context import absolute_spec
from app.database import Database
from app.errors import NotFound
from app.machine.budgets import check_budget
from app.machine.local_facts import (
    DeviceNow,
    device_here,
    is_name_of_one_here,
    timeouts,
    workload_here,
)
from app.recommendations import service as recommendations
from app.settings import Settings
from app.workloads import commands
from app.workloads.again import is_name_of_command, measured_before, measured_hash
from app.workloads.place import placed
from app.workloads.registry import entry_of
from probes.black_box.command import command_of
from probes.errors import InputError, MeasurementError
from probes.formatting import first_line, parse_size
from probes.group import is_group
from probes.job import WorkloadRef
from probes.space_text import parse_assignments

if TYPE_CHECKING:
    from app.checks.config_file import Written
    from optimizer.records import Recommendation

Opened = Callable[[], Database]
"""Opens the local store on the first call: a check by a service must not need it."""


@dataclass(frozen=True)
class PlannedWorkload:
    """What is trained, and how a worker finds it."""

    label: str
    """The name that its results have in the store."""
    spec: str
    options: dict[str, Any]
    python: str | None
    measured_in: str = ""
    """Of a command: the folder of its measurements, which need not be the one it is judged by."""
    has_script: bool = False
    """Of a command: whether the folder that it is judged by has its script."""
    note: str = ""
    """Sentences: which folder was compared, where that is not the obvious one, and which sources of
    a command were not found."""
    doubt: str = ""
    """Why the source could not be compared although its script is there: it may be any."""

    @property
    def command(self) -> dict[str, Any] | None:
        """What was compared of a command, as the answer has it."""
        if not is_name_of_command(self.spec):
            return None
        return {
            "template": self.options.get("command"),
            "folder": self.options.get("cwd"),
            "measured_in": self.measured_in,
        }


def question_of(
    command: CheckCommand, settings: Settings, opened: Opened
) -> tuple[CheckRequest, PlannedWorkload]:
    """Raises ``InputError`` where the plan or the workload is incomplete or wrong."""
    written = _written(command)
    batch_size = command.batch_size or (written.batch_size if written else None)
    if batch_size is None:
        where = f"{command.config_file} sets no batch size" if written else "No batch size"
        raise InputError(f"{where}: give it with --batch-size, or --key batch_size=PATH.IN.FILE.")
    config = {
        **(written.levers if written else {}),
        **parse_assignments(command.set_ or [], "--set"),
    }
    identity = written.recommendation_id if written else None
    if command.workload is None and command.command is None and identity is None:
        if written is not None:
            raise InputError(
                f"{command.config_file} names no recommendation (the export formats args, hydra "
                "and transformers-json have no place for one): name the workload with --workload."
            )
        raise InputError(
            "Name the workload with --workload or --command, or give a file that tonnage export "
            "wrote."
        )
    asked = CheckRequest(
        batch_size=batch_size,
        config=config,
        offered=written.offered if written else {},
        accumulation=command.accumulation or (written.accumulation if written else None),
        recommendation_id=identity,
        budget=command.budget,
        time_scale=command.time_scale,
        memory_budget_bytes=parse_size(command.memory_budget) if command.memory_budget else None,
        headroom=command.headroom,
        ranks=written.ranks if written else None,
        source=str(command.config_file or ""),
        notes=list(written.notes) if written else [],
    )
    workload = _workload(command, settings, opened, identity)
    asked, workload = _with_workload(command, settings, asked, workload)
    return _with_device(command, settings, asked, workload), workload


def _here(
    command: CheckCommand, settings: Settings, asked: CheckRequest, workload: PlannedWorkload
) -> DeviceNow:
    """The device that is named, else the devices that the plan says it trains on, where they are
    here."""

    def look(devices: str | int | None) -> DeviceNow:
        return device_here(
            workload.python,
            command.device,
            timeouts(settings),
            refresh=command.refresh,
            devices=devices,
        )

    named = command.devices is not None or is_group(command.device or "")
    if named or not asked.ranks:
        return look(command.devices)
    try:
        return look(asked.ranks)
    except InputError:  # there are fewer here: nothing measured here answers for the plan
        return look(None)


def _written(command: CheckCommand) -> Written | None:
    if command.config_file is None:
        if command.key:
            raise InputError("--key says where a CONFIG_FILE has a value: name the file too.")
        return None
    from app.checks.config_file import read_file

    named = parse_assignments(command.key or [], "--key")
    return read_file(command.config_file, {name: str(v) for name, v in named.items()})


def _workload(
    command: CheckCommand, settings: Settings, opened: Opened, recommendation_id: str | None
) -> PlannedWorkload:
    """As the command line names it, else as the recommendation does."""
    options = parse_assignments(command.option or [], "--option")
    if command.command is not None:
        return _given(command, options)
    if command.space or command.step:
        raise InputError("--space and --step say something of a command: give it with --command.")
    name, measured = command.workload, None
    if name is None:
        found = _recommended(command, opened, str(recommendation_id))
        name, measured = found.workload, found.valid.get("workload_hash")
        options = {**found.workload_options, **options}
    elif is_name_of_command(name):
        options = measured_before(opened(), name, options).options
        measured = measured_hash(opened(), name)
    known = None if is_name_of_command(name) else entry_of(settings, name)
    if known is None:
        spec = absolute_spec(name)
        planned = PlannedWorkload(spec, spec, options, command.python)
    else:
        options = {**known.options, **options}
        python = command.python or known.python
        planned = PlannedWorkload(name, known.reference, options, python)
    return _placed(planned, command, measured) if is_name_of_command(planned.spec) else planned


def _given(command: CheckCommand, options: dict[str, Any]) -> PlannedWorkload:
    """The command that the command line gives, in this folder. Raises ``InputError``."""
    if command.workload is not None:
        raise InputError("Give either --workload or --command, not both.")
    space = parse_assignments(command.space or [], "--space", as_text=True)
    given = {"space": space, "step": command.step}
    found = commands.ad_hoc(
        str(command.command),
        {**options, **{name: value for name, value in given.items() if value}},
        parse_assignments(command.set_ or [], "--set"),
        Path.cwd(),
    )
    planned = PlannedWorkload(found.spec, found.spec, found.options, command.python)
    return _placed(planned, command, None)


def _placed(
    workload: PlannedWorkload, command: CheckCommand, measured: str | None
) -> PlannedWorkload:
    """A command by the script that would be trained: that of the plan's folder, or of this one."""
    plan = command.config_file
    folders = [Path.cwd(), *([] if plan is None else [plan.parent])]
    place = placed(WorkloadRef(workload.spec, workload.options), folders, measured)
    return replace(
        workload,
        options=place.workload.options,
        python=workload.python or commands.interpreter(place.workload),
        measured_in=str(workload.options.get("cwd", "")),
        has_script=place.has_script,
        note=place.note,
    )


def _recommended(command: CheckCommand, opened: Opened, identity: str) -> Recommendation:
    """Raises ``InputError`` for a recommendation that is stored nowhere."""
    from app.cli.checking import service

    found = service.recommendation(command, identity) if command.server else None
    if found is not None:
        return found
    try:
        return recommendations.exactly(opened(), identity)
    except NotFound:
        raise InputError(
            f"Recommendation {identity}, which {command.config_file} names, is not stored "
            "here: name the workload with --workload, or the service that has the "
            "recommendation with --server."
        ) from None


def _with_workload(
    command: CheckCommand, settings: Settings, asked: CheckRequest, workload: PlannedWorkload
) -> tuple[CheckRequest, PlannedWorkload]:
    """With its space, and the hash of its source as it is now. A command whose script is there, and
    something else that it needs is not, remains a question with a doubt: a pipeline's check-out
    has no virtual environment. Raises ``InputError`` for any other that cannot be loaded."""
    asked = replace(asked, workload=workload.label)
    try:
        described = workload_here(
            workload.spec,
            workload.options,
            workload.python,
            timeouts(settings),
            refresh=command.refresh,
        )
    except MeasurementError as error:
        note = f"could not compare the source of the workload: {first_line(error)}"
        return replace(asked, notes=[*asked.notes, note]), workload
    except (InputError, OSError) as error:
        if not _is_doubt(error, command, workload):
            raise
        where = f"{workload.label} in {workload.options.get('cwd')}"
        why = f"the source of {where} could not be compared: {first_line(error)}"
        return replace(asked, notes=[*asked.notes, why]), replace(workload, doubt=why, note="")
    if is_name_of_command(workload.spec):
        given = parse_assignments(command.set_ or [], "--set")
        command_of(WorkloadRef(workload.spec, workload.options)).check_values(given)
        note = " ".join(filter(None, [workload.note, *described["notes"]]))
        workload = replace(workload, note=note)
    known = replace(asked, workload_hash=described["source_hash"], space=described["space"])
    return known, workload


def _is_doubt(
    error: InputError | OSError, command: CheckCommand, workload: PlannedWorkload
) -> bool:
    """Whether a question remains: the files of a command cannot be read, or it lacks something
    where its script is, which is not the fault of an option of this command line."""
    if not is_name_of_command(workload.spec) or command.option:
        return False
    return workload.has_script or isinstance(error, OSError)


def _with_device(
    command: CheckCommand, settings: Settings, asked: CheckRequest, workload: PlannedWorkload
) -> CheckRequest:
    if not is_name_of_one_here(command.device):
        if command.devices is not None:
            raise InputError("--devices are devices of this machine: leave --device out.")
        return replace(asked, device=command.device)
    here = _here(command, settings, asked, workload)
    budget = asked.memory_budget_bytes
    if budget is not None and here.total_bytes is not None:
        check_budget(budget, here.device, here.total_bytes)
    return replace(asked, here=here)
