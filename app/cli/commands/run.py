"""``tonnage run``: start a training run with the recommendation, and record how it ended."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli import options
from app.cli.context import absolute_spec, open_settings
from probes.errors import InputError, MeasurementError
from probes.formatting import first_line, size_text

if TYPE_CHECKING:
    from app.cli.starting import RunQuestion, StartingPoint
    from app.machine.local_facts import DeviceNow
    from app.runs.launch import Ended
    from app.settings import Settings
    from app.validity.source import SourceNow
    from optimizer.records import Recommendation

NOT_STARTED = 3


def run(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="The training command, after --.", metavar="-- COMMAND..."),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(
            help="What is trained. Default: the workload of the newest recommendation for this "
            "device."
        ),
    ] = None,
    budget: Annotated[str | None, typer.Option(help="The budget of the recommendation.")] = None,
    recommendation: Annotated[
        str | None, typer.Option(help="The id of the recommendation.", metavar="ID")
    ] = None,
    device: options.Device = None,
    devices: options.RunDevices = None,
    option: options.Option = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A configuration file whose placeholders are filled in too; {config} in COMMAND "
            "is the filled copy. Default: that of the command registered as the workload.",
            metavar="FILE",
        ),
    ] = None,
    on_stale: Annotated[
        Literal["warn", "fail"],
        typer.Option(
            help="If the recommendation is no longer valid: train with it and warn, or fail "
            "(do not start, status 3)."
        ),
    ] = "warn",
    on_unknown: Annotated[
        Literal["warn", "fail"],
        typer.Option(
            help="If nothing is recommended: start with the defaults in COMMAND and warn, or fail "
            "(do not start, status 3)."
        ),
    ] = "warn",
    server: options.Server = None,
    api_key: options.ApiKey = None,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Do not record how the run ended.")
    ] = False,
    python: options.Python = None,
    database: options.Database = None,
) -> None:
    """Start a training run as recommended and record how it ended.

    {batch_size}, {accumulation}, {device} and every dimension of the config are filled into
    COMMAND; {layers:4} gives a default for when nothing is recommended, and {python} is the
    interpreter that trains. COMMAND also gets the
    variables that tonnage export --to env writes. Its output, signals and exit status (128+n for
    signal n) are passed through. A service or a database that cannot be used never prevents it from
    starting.

    Example: tonnage run --workload train.py:Net -- python train.py --batch-size {batch_size}
    """
    if not command:
        raise InputError("Give the command to run after --, such as: -- python train.py")

    from app.cli.starting import RunQuestion, find
    from app.runs.launch import launch
    from app.runs.values import environment_of, fill, filled_copy, names_in, values_of
    from app.validity.source import interpreter_of
    from app.workloads.registry import entry_of
    from probes.interpreter import resolve_python

    settings = open_settings()
    seen = _Devices(settings, device, devices)
    known = entry_of(settings, workload) if workload is not None else None
    own_python = python or (known.python if known else None)
    wanted = RunQuestion(
        workload=_label(settings, workload),
        budget=budget,
        recommendation_id=recommendation,
        here=seen.look(own_python),
        device=lambda found: seen.look(own_python or interpreter_of(settings, found)),
        server=server,
        api_key=api_key,
        database_url=database or settings.database_url,
        source=_source(settings, workload, option, python),
    )
    start = find(wanted)
    for warning in start.warnings:
        _say(f"Warning: {warning}")
    if seen.problem:
        _say(f"Warning: could not verify that the recommendation is still valid: {seen.problem}")
    if not _may_start(start, workload, on_stale=on_stale, on_unknown=on_unknown):
        raise typer.Exit(NOT_STARTED)
    found = start.recommendation
    values = values_of(found) if found else None
    added = environment_of(found, os.environ) if found else {}
    for name in sorted(added):
        if os.environ.get(name, added[name]) != added[name]:
            _say(f"Note: {name}={added[name]}, as measured, instead of {os.environ[name]}.")
    template = _config_template(settings, workload, command, config)
    with contextlib.ExitStack() as stack:
        paths = {}
        if "python" in names_in(command):
            paths["python"] = resolve_python(own_python)
        if template is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tonnage-run-"))
            paths["config"] = str(filled_copy(template, values, Path(folder)))
        filled = fill(command, values, paths)
        if found is not None:
            _say(f"Training with {found.id}: {_values(found)}")
            if note := _emulated(found, start.here):
                _say(f"Note: {note}")
        ended = launch(filled, {**os.environ, **added})
    raise typer.Exit(_reported(wanted, start, ended, is_kept=not no_report))


def _emulated(found: Recommendation, here: DeviceNow | None) -> str:
    """That it was made for a part of the memory; empty where it was not."""
    total_bytes = here.total_bytes if here else None
    if total_bytes is None or found.limit_bytes >= total_bytes:
        return ""
    return (
        f"it was measured within {size_text(found.limit_bytes)} of the {size_text(total_bytes)} "
        "that the device has."
    )


def _config_template(
    settings: Settings, workload: str | None, command: list[str], config: Path | None
) -> Path | None:
    """The configuration file to fill in; ``None`` where COMMAND uses none."""
    from app.runs.values import names_in

    is_used = "config" in names_in(command)
    if config is not None:
        if not is_used:
            raise InputError(
                f"COMMAND does not use {config}. Write {{config}} where the path of the "
                "configuration file goes, for example --config {config}"
            )
        return config
    registered = settings.commands.get(workload or "")
    if not is_used or registered is None or registered.config is None:
        return None
    return Path(registered.cwd or "", registered.config).expanduser()


def _label(settings: Settings, workload: str | None) -> str | None:
    """The name that the results of a workload have in the store."""
    from app.workloads.registry import entry_of

    if workload is None or entry_of(settings, workload) is not None:
        return workload
    return absolute_spec(workload)


@dataclass
class _Devices:
    """Looks at this machine's device, once per interpreter."""

    settings: Settings
    device: str | None
    devices: str | None
    problem: str = ""
    """Why the last one could not be looked at, which is then not compared."""
    seen: dict[str | None, DeviceNow | None] = field(default_factory=dict)

    def look(self, python: str | None) -> DeviceNow | None:
        from app.machine.local_facts import device_here, timeouts

        if python not in self.seen:
            self.problem, self.seen[python] = "", None
            limits = timeouts(self.settings)
            try:
                self.seen[python] = device_here(
                    python, self.device, limits, refresh=False, devices=self.devices
                )
            except MeasurementError as error:
                self.problem = first_line(error)
        return self.seen[python]


def _source(
    settings: Settings, workload: str | None, option: list[str] | None, python: str | None
) -> Callable[[Recommendation], SourceNow]:
    """How to look at the source of the workload of a recommendation. A workload that is named has
    the options of the command line; one that is not, and a command, those of its recommendation."""
    from app.validity.source import source_of
    from probes.black_box.command import SPEC
    from probes.space_text import parse_assignments

    given = parse_assignments(option or [], "--option")

    def look(found: Recommendation) -> SourceNow:
        is_as_measured = workload is None or found.workload.startswith(SPEC)
        measured = found.workload_options if is_as_measured else {}
        return source_of(settings, found, {**measured, **given}, python)

    return look


def _may_start(
    start: StartingPoint, workload: str | None, *, on_stale: str, on_unknown: str
) -> bool:
    if start.recommendation is None:
        what = f" for {workload}" if workload else ""
        if start.tune:
            _say(f"Warning: nothing is recommended{what} here. Measure it with: {start.tune}")
        else:
            _say(f"Warning: could not find out whether anything is recommended{what}.")
        return on_unknown == "warn"
    for doubt in start.doubts:
        _say(f"Warning: {start.recommendation.id} may no longer be valid. {doubt}")
    return not start.doubts or on_stale == "warn"


def _reported(wanted: RunQuestion, start: StartingPoint, ended: Ended, *, is_kept: bool) -> int:
    """Print and record how it ended; the exit status. Nothing here fails a run that went well."""
    from app.runs.outcome import ending, exit_status

    recommendation, here = start.recommendation, start.here
    status = exit_status(ended.returncode)
    end = ending(
        ended.returncode, ended.tail, ended.cgroup_oom_kills, stopped_by_us=ended.signalled
    )
    if end.outcome == "out_of_memory":
        with_what = f" with {recommendation.id}" if recommendation else ""
        _say(f"The run was out of memory{with_what}: {end.reason}")
    if recommendation is None or not is_kept:
        return status
    facts: dict[str, Any] = {
        "outcome": end.outcome,
        "exit_status": status,
        "workload": recommendation.workload,
        "budget": recommendation.budget,
        "device": here.device if here else recommendation.device,
        "fingerprint": here.fingerprint if here else str(recommendation.valid["fingerprint"]),
        "recommendation_id": recommendation.id,
        "batch_size": recommendation.batch_size,
        "accumulation": recommendation.accumulation,
        "step_time_s": ended.step_time_s,
        "wall_s": round(ended.wall_s, 3),
        "document": {
            "config": dict(recommendation.config),
            "reason": end.reason,
            "expected_step_time_s": recommendation.cycle_time_s["mean"]
            / recommendation.cycle_batches,
        },
    }
    _attempt("stored here", lambda: _keep(wanted.database_url, facts))
    if wanted.server:
        _attempt("sent to the service", lambda: _send(wanted, facts))
    return status


def _attempt(what: str, action: Callable[[], None]) -> None:
    try:
        action()
    except Exception as error:  # whatever is wrong with a store or a service
        _say(f"Warning: the outcome could not be {what}: {first_line(error)}")


def _keep(database_url: str, facts: dict[str, Any]) -> None:
    from app.database import open_database
    from app.runs import service

    database = open_database(database_url)
    try:
        service.record(database, **facts)
    finally:
        database.close()


def _send(wanted: RunQuestion, facts: dict[str, Any]) -> None:
    from app.cli.starting import PATIENCE_S
    from app.client import Client
    from app.deadline import within

    def send() -> None:
        with Client(str(wanted.server), wanted.api_key, PATIENCE_S, attempts=1) as tonnage:
            tonnage.add_run(**facts)

    within(PATIENCE_S, f"The service at {wanted.server}", send)


def _values(recommendation: Recommendation) -> str:
    from app.runs.values import as_text, values_of

    values = values_of(recommendation)
    del values["recommendation"]
    if values["ranks"] == 1:
        del values["ranks"]
    return " ".join(f"{name}={as_text(value)}" for name, value in values.items())


def _say(line: str) -> None:
    """Print on stderr. It may be closed, which must not fail a run."""
    try:
        print(f"tonnage: {line}", file=sys.stderr, flush=True)
    except OSError:
        return
