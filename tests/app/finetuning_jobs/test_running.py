"""Fine-tunings in the queue: offered by name, run in the job's process, stopped, taken over."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest

from app.errors import Conflict
from app.finetuning_jobs import service as jobs
from app.finetunings import reading, running
from app.finetunings.request import FineTuningPost
from app.jobs import deaths, process, queue, repository, runner_repository
from app.jobs.offers import Offers
from app.jobs.records import JobKind
from app.machine import target as targets
from app.tuning.owner import this_place, this_process
from app.tuning.state import StudyState
from finetuning.run import FineTuning, Outcome
from finetuning.run_folder import RunState
from tests.app.finetuning_jobs.conftest import ASKED
from tests.app.jobs.conftest import offers, run_claimed

STEPS = 4


def submit(database, settings, **changes):
    asked = FineTuningPost.model_validate({**ASKED, **changes})
    return jobs.submit(database, settings, asked).id


def claim(database, offered, runner_id="run_1"):
    """A runner takes what it can: the id of the job, or ``None``."""
    with database.write() as session:
        runner_repository.add(session, runner_id, this_process(), this_place(), offered)
        runner = runner_repository.locked(session, runner_id)
        found = queue.claim(session, runner)
    return None if found is None else found[0].id


def kinds(database, job_id):
    with database.read() as session:
        return [event.kind for event in repository.events(session, job_id, 0, 99)]


class TestOffers:
    def test_they_survive_the_database_and_an_older_runner_has_none(self, offered):
        assert Offers.from_dict(offered.to_dict()) == offered
        older = {"workloads": {}, "devices": []}
        assert Offers.from_dict(older).finetuning is None
        own = {"python": "", "models": ["small"], "data": ["bfs"]}
        assert Offers.from_dict({**older, "finetuning": own}).finetuning.tasks == ()

    @pytest.mark.parametrize(
        ("models", "data"), [((), ("bfs",)), (("other",), ("bfs",)), (("small",), ("astar",))]
    )
    def test_a_runner_takes_only_what_it_has_registered(
        self, database, settings, offered, models, data
    ):
        job_id = submit(database, settings)
        own = replace(offered.finetuning, models=models, data=data)
        assert claim(database, replace(offered, finetuning=own)) is None
        waits = jobs.get(database, job_id).waits_for
        assert "small" in waits and "bfs" in waits
        assert claim(database, offered, "run_2") == job_id

    def test_one_that_it_lacks_data_for_does_not_block_the_next(self, database, settings, offered):
        submit(database, settings, data=["astar"])
        second = submit(database, settings)
        own = replace(offered.finetuning, data=("bfs",))
        assert claim(database, replace(offered, finetuning=own)) == second

    def test_a_runner_of_workloads_alone_leaves_it(self, database, settings):
        submit(database, settings)
        assert claim(database, offers("cpu")) is None

    def test_what_only_a_runner_has_registered_can_be_asked_for(self, database, settings, offered):
        with database.write() as session:
            own = replace(offered.finetuning, models=("large",))
            there = replace(offered, finetuning=own)
            runner_repository.add(session, "run_1", this_process(), this_place(), there)
        job_id = submit(database, settings, model="large")
        assert jobs.get(database, job_id).job.kind is JobKind.FINETUNING


class TestRunning:
    @pytest.fixture(autouse=True)
    def device(self, monkeypatch):
        """A device that needs no worker."""
        target = SimpleNamespace(
            prober=_Prober(),
            facts=SimpleNamespace(device="cpu"),
            fingerprint=SimpleNamespace(key="f" * 16),
            lease=lambda settings, waiting: contextlib.nullcontext(),
        )
        monkeypatch.setattr(targets, "open_target", lambda *_: target)
        monkeypatch.setattr(running, "register_target", lambda *_: None)

    @pytest.fixture
    def script(self, monkeypatch):
        """Sets what happens at each step of a training that saves a checkpoint at every step."""

        def at_each(step_done):
            monkeypatch.setattr(FineTuning, "run", lambda run: train(run, step_done))

        return at_each

    def test_its_process_trains_and_tells_how_far_it_is(self, database, settings, offered, script):
        script(lambda step: None)
        job_id = submit(database, settings, name="first")
        claim(database, offered)
        assert run_claimed(settings, database, job_id) == process.EXIT_DONE
        row = reading.get(database, job_id)
        assert (row.state, row.step, row.model) == ("done", STEPS, "small")
        assert row.output == str(settings.finetuning_output / "first")
        assert row.settings["model"]["name"] == "/srv/models/small"
        assert [event.loss for event in reading.events(database, job_id)] == [9, 8, 7, 6]
        found = jobs.get(database, job_id)
        assert (found.job.state, found.doing) == ("finished", "training")
        assert kinds(database, job_id) == ["queued", "started", "phase", "progress", "finished"]

    def test_cancelling_saves_a_checkpoint_and_stops(self, database, settings, offered, script):
        job_id = submit(database, settings)
        claim(database, offered)

        def cancelled(step):
            if step == 2:
                assert jobs.cancel(database, job_id).cancel_requested
                os.kill(os.getpid(), signal.SIGINT)  # as its runner does

        script(cancelled)
        with pytest.raises(KeyboardInterrupt):
            run_claimed(settings, database, job_id)
        with database.write() as session:  # as its runner does
            queue.end(session, job_id, "run_1", StudyState.CANCELLED)
        row = reading.get(database, job_id)
        assert (row.state, row.step) == ("stopped", 2)
        assert "resume" in row.reason
        assert jobs.get(database, job_id).job.state == "cancelled"

    def test_one_that_was_stopped_is_resumed_where_its_checkpoint_is(
        self, database, settings, offered, script
    ):
        job_id = submit(database, settings)
        claim(database, offered)
        script(kill_at(2))
        with pytest.raises(_Killed):
            run_claimed(settings, database, job_id)
        with database.write() as session:
            queue.end(session, job_id, "run_1", StudyState.CANCELLED)
        for _ in range(2):
            assert jobs.resume(database, job_id).state == "queued"
        assert reading.get(database, job_id).state == "queued"
        elsewhere = [replace(each, lease="another") for each in offered.devices]
        assert claim(database, replace(offered, devices=elsewhere), "run_2") is None
        with database.write() as session:
            deaths.bury(session, "run_1")
        assert "tonnage runner" in jobs.get(database, job_id).waits_for
        trained = []
        script(trained.append)
        assert claim(database, offered, "run_3") == job_id
        assert run_claimed(settings, database, job_id, "run_3") == process.EXIT_DONE
        assert (reading.get(database, job_id).state, trained) == ("done", [3, 4])
        with pytest.raises(Conflict, match="done"):
            jobs.resume(database, job_id)

    def test_one_that_is_asked_for_again_is_not_resumed_beside_it(self, database, settings):
        first = submit(database, settings)
        jobs.cancel(database, first)
        second = submit(database, settings)
        with pytest.raises(Conflict, match=second):
            jobs.resume(database, first)

    def test_the_next_runner_resumes_what_a_killed_one_began(
        self, database, settings, offered, script
    ):
        job_id = submit(database, settings)
        claim(database, offered)
        script(kill_at(3))
        with pytest.raises(_Killed):
            run_claimed(settings, database, job_id)
        with database.write() as session:
            deaths.bury(session, "run_1")
        row = reading.get(database, job_id)
        assert (row.state, jobs.get(database, job_id).job.state) == ("interrupted", "interrupted")
        trained = []
        script(trained.append)
        assert claim(database, offered, "run_2") == job_id
        assert run_claimed(settings, database, job_id, "run_2") == process.EXIT_DONE
        again = reading.get(database, job_id)
        assert (again.state, again.output, trained) == ("done", row.output, [4])

    def test_one_that_dies_at_the_same_step_every_time_fails(
        self, database, settings, offered, script
    ):
        job_id = submit(database, settings)
        script(kill_at(1, keeps=False))
        for attempt in range(deaths.MAX_DEATHS + 1):
            runner = f"run_{attempt}"
            if claim(database, offered, runner) is None:
                break
            with pytest.raises(_Killed):
                run_claimed(settings, database, job_id, runner)
            with database.write() as session:
                deaths.bury(session, runner)
        found = jobs.get(database, job_id).job
        assert (found.state, found.deaths) == ("failed", deaths.MAX_DEATHS)
        assert reading.get(database, job_id).state == "failed"

    def test_a_runner_that_is_stopped_gives_it_back(self, database, settings, offered, script):
        job_id = submit(database, settings)
        claim(database, offered)
        script(kill_at(1))
        with pytest.raises(_Killed):
            run_claimed(settings, database, job_id)
        with database.write() as session:
            queue.end(session, job_id, "run_1", StudyState.QUEUED)
        assert reading.get(database, job_id).state == "queued"

    def test_a_name_that_is_in_use_is_refused(self, database, settings, offered, script):
        (settings.finetuning_output / "mine").mkdir(parents=True)
        job_id = submit(database, settings, name="mine")
        claim(database, offered)
        script(lambda step: None)
        run_claimed(settings, database, job_id)
        row = reading.get(database, job_id)
        assert (row.state, jobs.get(database, job_id).job.state) == ("failed", "failed")
        assert "mine" in row.reason

    def test_what_the_runner_no_longer_has_registered_fails(
        self, database, settings, offered, script
    ):
        job_id = submit(database, settings)
        claim(database, offered)
        own = settings.finetuning.model_copy(update={"models": {}})
        run_claimed(settings.model_copy(update={"finetuning": own}), database, job_id)
        row = reading.get(database, job_id)
        assert (row.state, "small" in row.reason) == ("failed", True)


class _Killed(BaseException):
    """Ends the process of the test's script at once, as SIGKILL does."""


class _Prober:
    python = "python"

    def __enter__(self) -> _Prober:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def train(run: FineTuning, step_done) -> Outcome:
    """A training without a model. Its checkpoint is a file with the number of the last step."""
    run._begin()
    run._enter(RunState.TRAINING)
    checkpoint = run.folder.path / "step"
    last = int(checkpoint.read_text()) if checkpoint.exists() else 0
    if last:
        run._tell({"phase": "resumed", "step": last})
    for step in range(last + 1, STEPS + 1):
        run._tell({"phase": "train", "step": step, "of": STEPS, "loss": 10 - step})
        checkpoint.write_text(str(step))
        try:
            step_done(step)
        except _Forgotten:
            checkpoint.unlink()
            raise _Killed from None
        if run.folder.stop.exists():
            return run._end(RunState.STOPPED, "Stopped; resume continues it.", {"step": step})
    return replace(run._end(RunState.DONE, "", {"step": STEPS}), as_asked=True)


class _Forgotten(Exception):
    """The process is killed before it has saved a checkpoint."""


def kill_at(step, *, keeps=True):
    def step_done(done):
        if done == step:
            raise _Killed if keeps else _Forgotten

    return step_done
