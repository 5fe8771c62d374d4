"""``tonnage tune --devices-class``: a study for each class of devices, then the fleet answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import typer

from app.cli.context import open_settings
from app.cli.device_classes import LocalClass, classes_here
from app.cli.fleet_answer import show as show_fleet_answer
from app.cli.measuring import MeasuringOptions, ResolvedOptions
from app.cli.output import print_json, stderr
from app.cli.study_running import run_studies, show_answers
from app.errors import NotFound
from app.fleet_answers import service
from app.fleet_answers.question import FleetQuestion
from app.tuning.tune import StudyAnswer
from probes.errors import InputError, MeasurementError


def tune_classes(
    shared: MeasuringOptions,
    wanted: str,
    budgets: Sequence[str],
    search: Mapping[str, Any],
    accept_disturbed: bool | None,
    *,
    join: str,
) -> None:
    """Search on one device of each class, then compare the classes by what was measured. A class
    on which nothing can be measured does not keep the others from being searched.

    Exits with 1 where a study found nothing, and with 3 where a class could not be measured."""
    if shared.device or shared.devices or shared.nodes or join:
        raise InputError(
            "--devices-class chooses the devices: leave out --device(s), --nodes and --join."
        )
    settings = open_settings(lease_wait_s=shared.wait, accept_disturbed=accept_disturbed)
    _, own_python, _ = shared.find(settings)
    classes = classes_here(settings, shared.python or own_python, wanted, shared.memory_budget)
    answers: list[StudyAnswer] = []
    failed: list[str] = []
    asked: ResolvedOptions | None = None
    for number, each in enumerate(classes, 1):
        stderr().print(f"Class {number} of {len(classes)}: {each.shown}.", markup=False)
        try:
            asked = _on(shared, each, accept_disturbed)
            answers += run_studies(asked, budgets, search)
        except MeasurementError as error:
            failed.append(f"{each.shown}: {error}")
            stderr().print(f"Not measured: {failed[-1]}", markup=False)
    fleet_answer = None if asked is None else _fleet_answer(asked, budgets[-1], search)
    if shared.json_:
        documents = [answer.to_dict() for answer in answers]
        print_json(
            {"recommendations": documents, "fleet_answer": fleet_answer, "not_measured": failed}
        )
    try:
        show_answers(answers, json_=shared.json_)
    finally:
        if fleet_answer is not None and not shared.json_:
            show_fleet_answer(fleet_answer)
    if failed:
        raise typer.Exit(3)


def _on(
    shared: MeasuringOptions, each: LocalClass, accept_disturbed: bool | None
) -> ResolvedOptions:
    """The same command on the first device of a class."""
    own = replace(shared, device=each.devices[0], memory_budget=each.memory_budget)
    return own.resolve(accept_disturbed=accept_disturbed)


def _fleet_answer(
    asked: ResolvedOptions, budget: str, search: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Which class is best for one cycle of this budget, as ``tonnage choose`` answers; ``None``
    where nothing was measured that could be compared."""
    question = FleetQuestion(
        workload=asked.workload.label,
        budget=budget,
        pinned=asked.pinned,
        options=asked.workload.options,
        time_scale=search["time_scale"],
    )
    try:
        return service.document_of(service.ask(asked.database, asked.settings, question))
    except NotFound:
        return None
