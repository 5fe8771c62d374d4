"""``tonnage run``: start a training run with the recommendation, and report its outcome."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.cli.arguments import Parser
from app.settings.environment_names import KEY_VARIABLE, SERVER_VARIABLE
from probes.errors import MeasurementError, TonnageError

if TYPE_CHECKING:
    from app.machine.local_facts import DeviceNow
    from app.runs.find import Found
    from app.runs.launch import Ended
    from app.settings.brief import Brief
    from optimizer.records import Recommendation

DESCRIPTION = """\
Start a training run with what is recommended here, and report how it ended.

{batch_size}, {accumulation}, {device} and every dimension of the config are filled into COMMAND;
{layers:4} says what to take where nothing is recommended. It also gets TONNAGE_BATCH_SIZE … and the
allocator's settings that were measured with. Output, signals and the exit status are its own (128+n
for signal n). A service that is away never keeps it from starting.

Example:
  tonnage run --workload train.py:Net -- python train.py --batch-size {batch_size}
"""
NOT_KNOWN = 3


def run(arguments: list[str]) -> int:
    """Run it; the exit status is the command's. Raises ``TonnageError`` before it has started."""
    given, command = _parsed(arguments)

    from app.runs.find import Wanted, find
    from app.runs.launch import launch
    from app.runs.values import environment_of, fill, values_of
    from app.settings.brief import brief_settings

    brief = brief_settings()
    label, here, workload_hash = _look(given, brief)
    wanted = Wanted(
        workload=label,
        budget=given.budget,
        recommendation_id=given.recommendation,
        here=here,
        workload_hash=workload_hash,
        server=given.server,
        api_key=given.api_key,
        database_url=given.database or brief.database_url,
    )
    found = find(wanted)
    for warning in found.warnings:
        _say(f"Warning: {warning}")
    recommendation = found.recommendation
    if not _may_start(given, found):
        return NOT_KNOWN
    filled = fill(command, values_of(recommendation) if recommendation else None)
    added = environment_of(recommendation) if recommendation else {}
    for name in sorted(added):
        if os.environ.get(name, added[name]) != added[name]:
            _say(f"Note: {name}={added[name]}, as measured, instead of {os.environ[name]}.")
    if recommendation is not None:
        _say(f"Training with {recommendation.id}: {_values(recommendation)}")
    ended = launch(filled, {**os.environ, **added})
    return _reported(given, wanted.database_url, recommendation, here, ended)


def _parsed(arguments: list[str]) -> tuple[Namespace, list[str]]:
    before, command = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        before, command = arguments[:cut], arguments[cut + 1 :]
    parser = _parser()
    given = parser.parse(before)
    if not command:
        parser.error("say what to run after --, such as: -- python train.py")
    return given, command


# fmt: off
def _parser() -> Parser:
    parser = Parser("run", DESCRIPTION, usage="tonnage run [OPTIONS] -- COMMAND …")
    add = parser.add_argument
    add("--workload", metavar="WORKLOAD",
        help="what is trained (default: that of the newest recommendation for this device)")
    add("--budget", metavar="BUDGET", help="of the recommendation")
    add("--recommendation", metavar="ID", help="this very recommendation")
    add("--device", metavar="DEVICE", help="cpu, cuda:0, mps or xpu:0 (default: the best one here)")
    add("--option", action="append", default=[], metavar="NAME=VALUE",
        help="a fixed parameter of the workload (repeatable)")
    add("--on-stale", choices=("warn", "fail"), default="warn",
        help="where the recommendation no longer holds: train with it and say so (the default), or "
        "do not start (status 3)")
    add("--on-unknown", choices=("warn", "fail"), default="warn",
        help="where nothing is recommended: start with the defaults in COMMAND and say so (the "
        "default), or do not start (status 3)")
    add("--server", metavar="URL", default=os.environ.get(SERVER_VARIABLE) or None,
        help=f"ask and tell this service (${SERVER_VARIABLE})")
    add("--api-key", metavar="KEY", default=os.environ.get(KEY_VARIABLE) or None,
        help=f"its key, of scope run (${KEY_VARIABLE})")
    add("--no-report", action="store_true", help="do not keep how it ended")
    add("--python", metavar="PATH", help="the interpreter that trains, to look at the device with")
    add("--database", metavar="URL", help="where results are kept")
    return parser
# fmt: on


def _look(given: Namespace, brief: Brief) -> tuple[str | None, DeviceNow | None, str | None]:
    """The workload's label, the device here, the hash of the workload's source. What cannot be
    looked at is not compared."""
    from app.cli.specs import absolute_spec
    from app.machine.local_facts import device_here, workload_here
    from probes.space import parse_assignments

    label = spec = python = None
    options = parse_assignments(given.option, "--option")
    if given.workload is not None:
        known = brief.workloads.get(given.workload)
        label = given.workload if known else absolute_spec(given.workload)
        spec = known["reference"] if known else label
        python = known["python"] if known else None
        options = {**(known["options"] if known else {}), **options}
    python = given.python or python
    here, source_hash = None, None
    try:
        here = device_here(python, given.device, brief.timeouts, anew=False)
        if spec is not None:
            described = workload_here(spec, options, python, brief.timeouts, anew=False)
            source_hash = described["source_hash"]
    except MeasurementError as error:
        _say(f"Warning: whether the recommendation holds was not looked at: {_line(error)}")
    return label, here, source_hash


def _may_start(given: Namespace, found: Found) -> bool:
    if found.recommendation is None:
        what = f" for {given.workload}" if given.workload else ""
        _say(f"Warning: nothing is recommended{what} here. Measure it with: tonnage tune "
             f"{given.workload or 'WORKLOAD'}")  # fmt: skip
        return bool(given.on_unknown == "warn")
    for doubt in found.doubts:
        _say(f"Warning: {found.recommendation.id} may not hold: {doubt}.")
    return not found.doubts or given.on_stale == "warn"


def _reported(
    given: Namespace,
    database_url: str,
    recommendation: Recommendation | None,
    here: DeviceNow | None,
    ended: Ended,
) -> int:
    """Say and keep how it ended; the exit status. Nothing here can fail a run that went well."""
    from app.runs.outcome import ending, exit_status

    status = exit_status(ended.returncode)
    end = ending(
        ended.returncode, ended.tail, ended.cgroup_oom_kills, stopped_by_us=ended.signalled
    )
    if end.outcome == "out_of_memory":
        with_what = f" with {recommendation.id}" if recommendation else ""
        _say(f"The run was out of memory{with_what}: {end.reason}")
    if recommendation is None or given.no_report:
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
    _attempt("kept here", lambda: _keep(database_url, facts))
    if given.server:
        _attempt("sent to the service", lambda: _send(given.server, given.api_key, facts))
    return status


def _attempt(what: str, action: Callable[[], None]) -> None:
    try:
        action()
    except (TonnageError, ValueError) as error:
        _say(f"Warning: how it ended could not be {what}: {_line(error)}")


def _keep(database_url: str, facts: dict[str, Any]) -> None:
    from app.database import open_database
    from app.runs import service

    database = open_database(database_url)
    try:
        service.record(database, **facts)
    finally:
        database.close()


def _send(server: str, key: str | None, facts: dict[str, Any]) -> None:
    from app.client import Client
    from app.deadline import within
    from app.runs.find import PATIENCE_S

    def send() -> None:
        with Client(server, key, PATIENCE_S, attempts=1) as tonnage:
            tonnage.add_run(**facts)

    within(PATIENCE_S, f"The service at {server}", send)


def _values(recommendation: Recommendation) -> str:
    from app.runs.values import as_text, values_of

    values = {n: v for n, v in values_of(recommendation).items() if n != "recommendation"}
    return " ".join(f"{name}={as_text(value)}" for name, value in values.items())


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _say(line: str) -> None:
    """Never fails a run: stderr may be closed."""
    try:
        print(f"tonnage: {line}", file=sys.stderr, flush=True)
    except OSError:
        return
