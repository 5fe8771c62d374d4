"""A study's page, its events and its recommendation name the same best configuration, always."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.jobs import events, queue, runner_repository
from app.jobs.events import Report
from app.studies import service
from app.studies.progress import progress
from app.tuning import service as studies
from app.tuning.owner import this_place, this_process
from app.tuning.store import SqlStudyStore
from optimizer.budgets import Budget, Objective
from optimizer.events import Event
from optimizer.known import Known
from optimizer.study import Study
from probes.max_batch import Ask
from probes.measurement import Config, Measurement
from probes.model_size import ModelSize
from probes.space import Choice
from tests.app import factories
from tests.app.jobs.conftest import offers, request
from tests.app.one_kind import kind  # noqa: F401
from tests.optimizer.memory_store import ScriptedFleet, grid_device, spec
from tests.probes.scripted import MIB, ScriptedDevice

WINDOW = Budget("prototyping", 30.0, 30.0, trials=20)
FASTEST = Budget("smoke_test", None, 0.0, trials=20, throughput_loss=0.0)
LARGEST = Budget("production", None, 0.0, trials=20, objective=Objective.CAPACITY)
LAYERS = {"layers": Choice([1, 2, 4])}


def disturbed(*layers: int) -> Callable[[Config, Ask], Measurement]:
    """Whatever has these layers is measured while another process uses the device."""
    fleet = ScriptedFleet(grid_device)

    def probe(config: Config, ask: Ask) -> Measurement:
        run = fleet(config, ask)
        return replace(run, tainted=["shared"]) if config["layers"] in layers else run

    return probe


def small_is_capable(configs: list[Config]) -> list[ModelSize]:
    """Capacity that is not the number of parameters: fewer layers are more capable."""
    return [ModelSize(config["layers"] * 64, 1.0 / config["layers"]) for config in configs]


def nearly_equal(config: Config) -> ScriptedDevice:
    return ScriptedDevice(step_s=lambda b: 0.01 * (1 + 0.02 * config["layers"]))


CASES = {
    "in a window": (WINDOW, None, ScriptedFleet(grid_device), None),
    "where trials are screened": (FASTEST, None, ScriptedFleet(grid_device), None),
    "where the fastest was disturbed": (FASTEST, None, disturbed(1), None),
    "where everything was disturbed": (FASTEST, None, disturbed(1, 2, 4), None),
    "where capacity decides": (LARGEST, None, ScriptedFleet(grid_device), None),
    "where capacity is not size": (WINDOW, LAYERS, ScriptedFleet(nearly_equal), small_is_capable),
    "where nothing fits": (
        FASTEST,
        LAYERS,
        ScriptedFleet(lambda _: ScriptedDevice(memory=lambda b: 5000 * MIB)),
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_the_events_and_the_recommendation_agree(database, case):
    budget, space, probe, sizes_of = CASES[case]
    scope = factories.scope(workload="scripted", device="cpu")
    asked = replace(spec(budget, space), scope=scope)
    job = service.submit(database, request(budget="smoke_test"))
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
        queue.claim(session, runner_repository.locked(session, "run_1"))
    report = Report(database, job.id, "run_1", 1)
    study, opening = studies.open_study(database, asked, new_id=job.id)
    report.opened(study.id, opening, os.getpid())
    settled = []

    def check(event: Event) -> None:
        report.study(event)
        assert probes_shown() == probes_told()
        if event.kind == "settled":
            settled.append(event.trial)
            assert shown() == told()
            assert shown() == (event.incumbent and event.incumbent.run.config)

    def probes_shown() -> int:
        return progress(database, job.id).probes

    def probes_told() -> int:
        return sum(e.kind == "measured" for e in events.read(database, job.id))

    def shown() -> Config | None:
        page = progress(database, job.id)
        return page.configs[page.incumbent] if page.incumbent is not None else None

    def told() -> Config | None:
        found = [e for e in events.read(database, job.id) if e.kind == "incumbent"]
        return found[-1].data["config"] if found else None

    outcome = Study(
        asked,
        study.id,
        SqlStudyStore(database, study.id, asked),
        probe,
        known=Known(sizes_of=sizes_of),
        report=studies.keeping_incumbent(database, study.id, check),
    ).run()
    studies.finish(database, study.id, outcome.recommendation)

    assert settled
    made = outcome.recommendation
    assert made is None or made.study["probes"] == probes_told() == probes_shown()
    assert shown() == told() == (made and made.config)
    assert (made is None) == (case in ("where everything was disturbed", "where nothing fits"))
    if case == "where trials are screened":
        assert "screened" in {trial.state for trial in settled}
    if case == "where the fastest was disturbed":
        assert made.config["layers"] != 1
    if case == "where capacity is not size":
        assert made.config == {"layers": 1}
