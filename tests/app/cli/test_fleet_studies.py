"""``tonnage tune --fleet``: started in the database of the fleet, followed to its end."""

from __future__ import annotations

import json

import pytest

from app.cli import run
from app.database.models.serving import JobRow
from app.jobs import queue
from app.studies import service as jobs
from app.tuning import service as studies
from tests.app import factories
from tests.app.fleet.scripted import ScriptedFleet
from tests.app.jobs.test_runner import FakeProcess
from tests.app.one_kind import kind  # noqa: F401


@pytest.fixture
def fleet(database, monkeypatch) -> ScriptedFleet:
    """A node that is ready; it does a round whenever the command waits."""
    monkeypatch.setattr("app.fleet.fleet.is_sqlite", lambda url: False)
    made = ScriptedFleet(database)
    made.add("one", {"rack": "1"})
    runner = made.runner()
    made.rounds(runner)
    made.ending = FakeProcess.finish

    def wait(_seconds: float) -> None:
        made.rounds(runner, 1)
        for process in made.processes:
            if process.status is None:
                made.ending(process)

    monkeypatch.setattr("app.cli.fleet_studies.time.sleep", wait)
    return made


def recommends(database):
    """Ends a job's process with a recommendation."""

    def end(process) -> None:
        job = jobs.get(database, process.job_id)
        spec = factories.spec(job.request.budget, workload="transformer")
        study, _opening = studies.open_study(database, spec, new_id=job.id)
        with database.write() as session:
            row = session.get_one(JobRow, job.id)
            queue.opened(session, job.id, row.runner_id, study.id, 1, attempt=row.attempt)
        studies.finish(database, study.id, factories.recommendation(workload="transformer"))
        process.finish()

    return end


def test_it_ends_in_the_recommendation(fleet, database, database_url, capsys):
    fleet.ending = recommends(database)
    asked = ["tune", "transformer", "--fleet", "auto", "--budget", "smoke_test"]
    status = run([*asked, "--device", "rack=1", "--json", "--database", database_url])
    said = capsys.readouterr()
    assert (status, json.loads(said.out)["workload"]) == (0, "transformer")
    assert "It starts on one, cpu" in said.err


def test_nothing_fits_is_status_1(fleet, database_url, capsys):
    asked = ["tune", "transformer", "--fleet", "10.0.0.5", "--budget", "smoke_test", "--json"]
    assert run([*asked, "--database", database_url]) == 1
    assert json.loads(capsys.readouterr().out)["recommendation"] is None


def test_what_could_not_be_measured_is_status_3(fleet, database_url, capsys, monkeypatch):
    monkeypatch.setattr("app.jobs.runner.AGAIN_AFTER_S", 0.0)
    fleet.ending = lambda process: process.end(1)
    asked = ["tune", "transformer", "--fleet", "auto", "--budget", "smoke_test"]
    assert run([*asked, "--database", database_url]) == 3
    assert "3 times in a row" in capsys.readouterr().out


def test_it_says_which_process_keeps_a_job_from_measuring(fleet, database, database_url, capsys):
    def end(process) -> None:
        with database.write() as session:
            row = session.get_one(JobRow, process.job_id)
            data = {"reason": "cpu is in use by process 7", "waited_s": 0.0}
            queue.report(session, row.id, row.runner_id, "waiting", data)
        process.finish()

    fleet.ending = end
    asked = ["tune", "transformer", "--fleet", "auto", "--budget", "smoke_test"]
    assert run([*asked, "--database", database_url]) == 1
    assert "in use by process 7" in capsys.readouterr().err


def test_it_says_what_a_study_waits_for(fleet, database, database_url, capsys, monkeypatch):
    told = []

    def cancel(_seconds: float) -> None:
        told.append(1)
        with database.read() as session:
            (row,) = session.query(JobRow).all()
        jobs.cancel(database, row.id)

    monkeypatch.setattr("app.cli.fleet_studies.time.sleep", cancel)
    asked = ["tune", "transformer", "--fleet", "auto", "--device", "rack=9"]
    assert run([*asked, "--database", database_url]) == 3
    assert "rack=9" in capsys.readouterr().err
    assert told == [1]
