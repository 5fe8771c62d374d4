"""Measuring a planned run here and now, so that the check has something to go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.checks.ask import Question


def measure(question: Question, answer: dict[str, Any], *, quick: bool) -> None:
    """One probe of the plan that ``answer`` is about, kept where the check looks for it."""
    from app.cli.context import ask, is_quiet, open_database
    from app.cli.progress import Progress
    from app.measurements.service import record
    from app.target import register
    from probes.devices.base import DeviceFacts
    from probes.max_batch import Ask
    from probes.measurement import Purpose

    config = dict(answer["config"])
    if answer["accumulation"] != 1:
        config["accumulation"] = answer["accumulation"]
    asked = ask(
        question.workload or answer["workload"],
        device=question.device,
        memory_budget=None,
        python=question.python,
        set_=None,
        option=list(question.option),
        headroom=answer["headroom"],
        wait=question.wait_s,
    )
    facts: DeviceFacts = asked.target.facts
    if answer["limit_bytes"] < facts.total_bytes:
        from dataclasses import replace

        target = replace(asked.target, memory_budget_bytes=answer["limit_bytes"])
        asked = replace(asked, target=target)
    store = open_database(asked.settings, question.database)
    with Progress(quiet=is_quiet()) as progress, asked.lease(progress.waiting):
        bench = asked.open_bench(
            progress.worker, rests_on_time=answer["longest_cycle_s"] is not None
        )
        wanted = Ask(answer["batch_size"], Purpose.BRACKET if quick else Purpose.CONFIRM)
        progress.probe(wanted)
        measurement = bench.measure(bench.config(config), wanted)
        progress.measured(measurement)
        register(store, asked.target)
        record(store, bench.scope, measurement)
    store.close()
    if question.server:
        from app.checks.remote import send_measurement

        send_measurement(question.server, question.api_key, asked.target, bench, measurement)
