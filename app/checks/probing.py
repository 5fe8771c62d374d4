"""Measuring a planned run here and now, so that the check has something to go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.checks.ask import CheckCommand, PlannedWorkload
    from app.machine.local_facts import DeviceNow


def measure(
    question: CheckCommand,
    workload: PlannedWorkload,
    here: DeviceNow,
    answer: dict[str, Any],
    *,
    quick: bool,
) -> None:
    """One probe of the plan that ``answer`` is about, kept where the check looks for it."""
    from app.cli.context import is_quiet, open_database, open_settings
    from app.cli.progress import ProgressDisplay
    from app.devices.service import register_target
    from app.machine.session import MeasuringSession
    from app.machine.target import open_target
    from app.measurements.service import record
    from probes.job import WorkloadRef
    from probes.max_batch import Ask
    from probes.measurement import Purpose

    config = dict(answer["config"])
    if answer["accumulation"] != 1:
        config["accumulation"] = answer["accumulation"]
    limit_bytes = answer["limit_bytes"]
    settings = open_settings(lease_wait_s=question.wait_s)
    is_all = here.total_bytes is not None and limit_bytes >= here.total_bytes
    budget = None if is_all else limit_bytes
    name = workload.label if workload.label != workload.spec else ""
    reference = WorkloadRef(workload.spec, workload.options, name)
    target = open_target(settings, workload.python, here.device, budget)
    store = open_database(settings, question.database)
    with ProgressDisplay(quiet=is_quiet()) as progress, target.lease(settings, progress.waiting):
        bench = MeasuringSession.open(
            settings,
            reference,
            target,
            answer["headroom"],
            progress.worker,
            rests_on_time=answer["longest_cycle_s"] is not None,
        )
        wanted = Ask(answer["batch_size"], Purpose.BRACKET if quick else Purpose.CONFIRM)
        progress.probe(wanted)
        measurement = bench.measure(bench.config(config), wanted)
        progress.measured(measurement)
        register_target(store, target)
        record(store, bench.scope, measurement)
    store.close()
    if question.server:
        from app.checks.remote import send_measurement

        send_measurement(question.server, question.api_key, target, bench, measurement)
