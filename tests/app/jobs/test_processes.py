"""Real processes that run scripted studies: killed runners, killed studies, cancels, hand-overs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import select

from app.database.models.serving import JobEventRow, JobRow
from app.jobs.runner import Runner
from app.recommendations import service as recommendations
from app.settings import RunnerSettings
from app.studies import service
from app.tuning import service as studies
from tests.app import contents
from tests.app.jobs.conftest import (
    ScriptedExecutor,
    kinds,
    offers,
    request,
    says,
    start_scripted,
    state,
    until,
)
from tests.processes import is_gone

SETTINGS = RunnerSettings(heartbeat_s=0.2, cancel_grace_s=2)


@pytest.fixture
def runner(database, tmp_path):
    """A runner of one device in this process; what it started is ended with the test."""
    executor = ScriptedExecutor(offers("cpu"), start_scripted(database, tmp_path))
    made = Runner(database, SETTINGS, executor)
    yield made
    made.stop()
    made.run()


def pid_of(database, job) -> int:
    """The number of the process that runs the job."""

    def known() -> int | None:
        with database.read() as session:
            return session.get_one(JobRow, job.id).pid

    return until(known)


class TestOneRunner:
    @pytest.fixture
    def kind(self):
        """What processes share a database for is tested below and in ``test_queue``."""
        return "sqlite"

    def test_a_study_is_run_and_its_answer_stored(self, database, runner):
        job = service.submit(database, request())
        until(lambda: service.get(database, job.id).is_over, runner.step)
        ended = service.get(database, job.id)
        assert (ended.state, ended.study_id, ended.deaths) == ("finished", job.id, 0)
        assert recommendations.of_study(database, job.id) is not None
        assert kinds(database, job) == ["queued", "started", "opened", "measured", "finished"]

    def test_a_question_that_was_answered_before_is_answered_by_that_study(self, database, runner):
        first = service.submit(database, request())
        until(lambda: service.get(database, first.id).is_over, runner.step)
        second = service.submit(database, request("hang"))
        until(lambda: service.get(database, second.id).is_over, runner.step)
        ended = service.get(database, second.id)
        assert (ended.state, ended.study_id) == ("finished", first.id)
        assert kinds(database, second) == ["queued", "started", "opened", "finished"]

    def test_cancelled_it_keeps_what_it_measured_and_a_new_one_goes_on(self, database, runner):
        job = service.submit(database, request("hang"))
        until(lambda: says(database, job, "hanging"), runner.step)
        pid = pid_of(database, job)
        service.cancel(database, job.id)
        until(lambda: state(database, job) == "cancelled", runner.step)
        assert is_gone(pid)
        assert studies.get(database, job.id).state == "interrupted"

        again = service.submit(database, request())
        until(lambda: service.get(database, again.id).is_over, runner.step)
        ended = service.get(database, again.id)
        assert (ended.state, ended.study_id) == ("finished", job.id)
        assert len(contents.measurements(database)) == 1
        assert "measured" not in kinds(database, again)

    def test_one_that_listens_to_no_signal_is_cancelled_all_the_same(self, database, runner):
        job = service.submit(database, request("deaf"))
        until(lambda: says(database, job, "deaf"), runner.step)
        pid = pid_of(database, job)
        service.cancel(database, job.id)
        until(lambda: state(database, job) == "cancelled", runner.step)
        assert is_gone(pid)
        assert studies.get(database, job.id).state == "interrupted"

    def test_a_job_that_always_dies_is_given_up_with_the_reason(
        self, database, runner, monkeypatch
    ):
        monkeypatch.setattr("app.jobs.runner.AGAIN_AFTER_S", 0.0)
        job = service.submit(database, request("die"))
        until(lambda: service.get(database, job.id).is_over, runner.step)
        ended = service.get(database, job.id)
        assert (ended.state, ended.deaths) == ("failed", 3)
        assert "was killed by SIGKILL" in ended.message
        left = studies.get(database, job.id)
        assert (left.state, left.owner) == ("interrupted", None)
        assert kinds(database, job).count("started") == 3
        other = service.submit(database, request())
        until(lambda: service.get(database, other.id).is_over, runner.step)
        assert state(database, other) == "finished"

    def test_an_error_of_the_study_is_the_jobs_message(self, database, runner):
        job = service.submit(database, request("raise"))
        until(lambda: service.get(database, job.id).is_over, runner.step)
        ended = service.get(database, job.id)
        assert (ended.state, ended.deaths) == ("failed", 0)
        assert ended.message.startswith("RuntimeError: a bug")

    def test_a_signal_from_a_person_cancels_it(self, database, runner):
        job = service.submit(database, request("hang"))
        until(lambda: says(database, job, "hanging"), runner.step)
        os.kill(pid_of(database, job), signal.SIGINT)
        until(lambda: service.get(database, job.id).is_over, runner.step)
        ended = service.get(database, job.id)
        assert ended.state == "cancelled"
        assert "signal" in ended.message


class TestKilledRunners:
    def test_its_study_ends_with_it_and_is_taken_over_and_resumed(
        self, database, runner_process, runner
    ):
        job = service.submit(database, request("hang"))
        victim = runner_process("cpu")
        until(lambda: says(database, job, "hanging"))
        pid = pid_of(database, job)
        victim.kill()
        victim.wait()
        until(lambda: is_gone(pid))
        with database.write() as session:  # it would hang for the next one too
            row = session.get_one(JobRow, job.id)
            row.request = {**row.request, "pinned": {"does": "finish"}}

        until(lambda: service.get(database, job.id).is_over, runner.step)
        ended = service.get(database, job.id)
        assert (ended.state, ended.study_id, ended.deaths) == ("finished", job.id, 1)
        happened = kinds(database, job)
        assert happened.count("started") == 2
        assert happened.count("measured") == 1  # read back, not measured again
        assert happened.index("interrupted") < len(happened) - 1
        assert len(contents.measurements(database)) == 1

    def test_stopped_with_a_signal_it_gives_its_study_back(self, database, runner_process):
        job = service.submit(database, request("hang"))
        first = runner_process("cpu")
        until(lambda: says(database, job, "hanging"))
        pid = pid_of(database, job)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
        given_back = service.get(database, job.id)
        assert (given_back.state, given_back.deaths, given_back.lease) == ("queued", 0, None)
        assert is_gone(pid)
        assert studies.get(database, job.id).state == "interrupted"

    def test_two_runners_and_two_devices_never_measure_on_one_at_once(
        self, database, runner_process, tmp_path: Path
    ):
        """Every study makes a file for its device that must not be there yet; and by the events,
        one job has a device until it is over, and then the next."""
        devices = ("cpu", "cuda:0")
        jobs = [
            service.submit(database, request(device=devices[n % 2], trials=n)) for n in range(1, 9)
        ]
        both = [runner_process(*devices) for _ in range(2)]
        until(lambda: all(service.get(database, job.id).is_over for job in jobs))
        assert {state(database, job) for job in jobs} == {"finished"}
        assert list(tmp_path.glob("overlap-*")) == []
        for device in devices:
            spans = spans_of(database, [job for job in jobs if job.request.device == device])
            assert len(spans) == 4
            assert all(ended <= begun for (_, ended), (begun, _) in zip(spans, spans[1:]))
        assert all(process.poll() is None for process in both)


def spans_of(database, jobs):
    """Begin and end of every attempt, by the events, in order."""
    with database.read() as session:
        rows = session.execute(
            select(JobEventRow.kind, JobEventRow.created_at)
            .where(
                JobEventRow.job_id.in_([job.id for job in jobs]),
                JobEventRow.kind.in_(["started", "finished", "interrupted", "failed"]),
            )
            .order_by(JobEventRow.created_at)
        ).all()
    times = [moment for _, moment in rows]
    return list(zip(times[::2], times[1::2]))
