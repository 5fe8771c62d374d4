"""``tonnage tune --fleet``: started in the database of the fleet, followed to its end."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.cli import run
from app.cli.bundling import bundled
from app.database.models.bundles import BundleRow
from app.database.models.serving import JobRow
from app.jobs import queue
from app.settings import load_settings
from app.studies import service as jobs
from app.tuning import service as studies
from tests.app import factories
from tests.app.fleet.scripted import ScriptedFleet
from tests.app.jobs.conftest import offers
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
    made.wait = lambda: made.rounds(runner)
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


class TestAWorkloadOfOnesOwn:
    @pytest.fixture
    def here(self, fleet, tmp_path, monkeypatch):
        """A working directory, and a node that accepts bundles."""
        fleet.add("two", offers=replace(offers(host="two"), bundles=""))
        fleet.wait()
        folder = tmp_path / "project"
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "train.py").write_text("class Net: ...")
        (folder / "notes.txt").write_text("of mine")
        monkeypatch.chdir(folder)
        return folder

    def test_its_directory_is_sent_and_its_results_have_the_name_it_has_here(
        self, fleet, here, database, database_url, capsys
    ):
        fleet.ending = recommends(database)
        asked = ["tune", "src/train.py:Net", "--fleet", "auto", "--budget", "smoke_test"]
        assert run([*asked, "--database", database_url]) == 0
        with database.read() as session:
            (row,) = session.query(JobRow).all()
            (bundle,) = session.query(BundleRow).all()
        assert row.request["workload"] == f"{here}/src/train.py:Net"
        assert row.request["bundle_entry"] == "src/train.py:Net"
        assert (row.request["bundle"], bundle.files) == (bundle.id, 2)
        assert f"Sending {here} as bundle {bundle.id[:12]}" in capsys.readouterr().err

    def test_a_file_elsewhere_is_sent_with_its_own_folder(self, here, monkeypatch, tmp_path):
        other = tmp_path / "elsewhere"
        other.mkdir()
        monkeypatch.chdir(other)
        sent = bundled(load_settings(), str(here / "src" / "train.py"))
        assert sent is not None
        assert (sent.folder, sent.entry) == (here / "src", "train.py")

    def test_what_is_not_there_is_an_error_before_anything_is_sent(self, here, database_url):
        for workload in ("src/tran.py:Net", "pkg.train:Net"):
            asked = ["tune", workload, "--fleet", "auto", "--database", database_url]
            assert run(asked) == 2

    def test_a_registered_name_is_looked_up_by_each_node(self):
        assert bundled(load_settings(), "transformer") is None
