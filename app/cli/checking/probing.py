"""Measuring a planned run on this machine, so that the check has something to compare it with."""

from __future__ import annotations

from typing import Any

from app.cli.checking.command import CheckCommand
from app.cli.checking.question import PlannedWorkload
from app.cli.context import open_database
from app.cli.progress import ProgressDisplay
from app.devices.service import register_target
from app.machine.local_facts import DeviceNow
from app.machine.session import MeasuringSession
from app.machine.target import open_target
from app.measurements.service import record
from app.settings import Settings
from app.workloads.service import register_measured
from probes.job import WorkloadRef
from probes.max_batch import Ask
from probes.measurement import Purpose


def measure(
    command: CheckCommand,
    settings: Settings,
    workload: PlannedWorkload,
    here: DeviceNow,
    answer: dict[str, Any],
    *,
    is_quick: bool,
) -> None:
    """One probe of the plan that ``answer`` is about, stored where the check looks for it."""
    config = dict(answer["config"])
    if answer["accumulation"] != 1:
        config["accumulation"] = answer["accumulation"]
    limit_bytes = answer["limit_bytes"]
    is_all = here.total_bytes is not None and limit_bytes >= here.total_bytes
    name = workload.label if workload.label != workload.spec else ""
    reference = WorkloadRef(workload.spec, workload.options, name)
    budget = None if is_all else limit_bytes
    target = open_target(settings, workload.python, here.device, budget)
    database = open_database(settings, command.database)
    with ProgressDisplay() as progress, target.lease(settings, progress.waiting):
        session = MeasuringSession.open(
            settings,
            reference,
            target,
            answer["headroom"],
            progress.worker,
            rests_on_time=answer["longest_cycle_s"] is not None,
        )
        wanted = Ask(answer["batch_size"], Purpose.BRACKET if is_quick else Purpose.CONFIRM)
        progress.probe(wanted)
        measurement = session.measure(session.config(config), wanted)
        progress.measured(measurement)
        register_target(database, target)
        register_measured(database, session)
        record(database, session.scope, measurement)
    database.close()
    if command.server:
        from app.cli.checking.service import send_measurement

        send_measurement(command, target, session.scope, measurement)
