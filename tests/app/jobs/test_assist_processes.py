"""Real processes that search one study together, on devices that answer from a script."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest

from app.database.models.searching import ClaimRow
from app.database.models.serving import JobRow
from app.jobs.records import JobKind
from app.jobs.runner import Runner
from app.recommendations import service as recommendations
from app.settings import RunnerSettings
from app.studies import service
from app.tuning import repository as studies
from optimizer.budgets import Budget
from optimizer.study import Study
from tests.app import contents
from tests.app.jobs.conftest import (
    ScriptedExecutor,
    events_of,
    kinds,
    offers,
    request,
    start_scripted,
    until,
)
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, grid_device, spec

SETTINGS = RunnerSettings(heartbeat_s=0.5, cancel_grace_s=5)


@pytest.fixture
def kind():
    """What the database does for it is tested in ``test_assists``, on each kind."""
    return "sqlite"


@pytest.fixture
def runner(database, tmp_path):
    executor = ScriptedExecutor(offers("cuda:0", "cuda:1"), start_scripted(database, tmp_path))
    made = Runner(database, SETTINGS, executor)
    yield made
    made.stop()
    made.run()


@pytest.fixture
def job(database):
    return service.submit(database, request("search", devices_at_once=2))


def probed(database, job) -> list[str]:
    """The device of each probe."""
    return [each.data["device"] for each in events_of(database, job) if each.kind == "measured"]


def pid_on(database, device: str) -> int | None:
    with database.read() as session:
        row = session.query(JobRow).filter(JobRow.lease == f"here/{device}").one_or_none()
        return None if row is None else row.pid


def check(database, job) -> None:
    """It ended with the answer of one device, nothing was measured twice, and nothing is left."""
    alone = Study(
        spec(Budget("smoke_test", 30.0, 30.0, trials=20)),
        "st_1",
        MemoryStore(),
        ScriptedFleet(grid_device),
    ).run()
    made = recommendations.of_study(database, job.id)
    assert made is not None and alone.recommendation is not None
    assert (made.config, made.batch_size) == (
        alone.recommendation.config,
        alone.recommendation.batch_size,
    )
    runs = contents.measurements(database)
    probes = Counter((repr(run.config), run.batch_size, str(run.purpose)) for run in runs)
    assert max(probes.values()) == 1
    with database.read() as session:
        numbers = [trial.number for trial in studies.trials(session, job.id)]
        assert len(set(numbers)) == len(numbers)
        assert session.query(ClaimRow).count() == 0
        assert session.query(JobRow).filter(JobRow.kind == JobKind.ASSIST).count() == 0


def finish(database, runner, job) -> None:
    until(lambda: service.get(database, job.id).is_over, runner.step)
    assert service.get(database, job.id).state == "finished"
    until(lambda: runner.is_running == [], runner.step)


def test_two_devices_share_the_probes_and_agree_with_one(database, runner, job):
    finish(database, runner, job)
    assert set(probed(database, job)) == {"cuda:0", "cuda:1"}
    check(database, job)


def test_an_assistant_that_is_killed_loses_its_claim_and_nothing_else(database, runner, job):
    until(lambda: "cuda:1" in probed(database, job), runner.step)
    os.kill(pid_on(database, "cuda:1"), signal.SIGKILL)
    until(lambda: "left" in kinds(database, job), runner.step)
    finish(database, runner, job)
    assert service.get(database, job.id).attempt == 1
    check(database, job)


def test_the_owner_is_killed_and_the_study_is_ended_by_its_next_attempt(
    database, runner, job, monkeypatch
):
    monkeypatch.setattr("app.jobs.runner.AGAIN_AFTER_S", 0.5)
    until(lambda: "cuda:1" in probed(database, job), runner.step)
    os.kill(pid_on(database, "cuda:0"), signal.SIGKILL)
    finish(database, runner, job)
    assert service.get(database, job.id).attempt >= 2
    assert "interrupted" in kinds(database, job)
    check(database, job)
