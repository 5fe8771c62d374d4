"""The fence: whatever an older attempt of a job wants to store about it is refused."""

from __future__ import annotations

import signal

import pytest

from app.jobs import deaths, queue, runner_repository
from app.jobs.events import Report
from app.jobs.process import run_job
from app.jobs.runner import Runner
from app.settings import RunnerSettings, load_settings
from app.studies import service, view
from app.tuning import service as studies
from app.tuning.owner import this_place, this_process
from app.tuning.state import StudyState
from app.tuning.store import SqlStudyStore
from app.tuning.tune import StudyAnswer
from tests.app import contents, factories
from tests.app.jobs.conftest import ScriptedExecutor, kinds, offers, request


@pytest.fixture
def runner(database):
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
        return runner_repository.locked(session, "run_1")


def claim(database, runner):
    with database.write() as session:
        claimed = queue.claim(session, runner)
    assert claimed is not None
    return claimed[0]


def give_back(database, job) -> None:
    with database.write() as session:
        queue.end(session, job.id, "run_1", StudyState.QUEUED, attempt=job.attempt)


@pytest.fixture
def two_attempts(database, runner):
    """The reports of the first and the second attempt of one job, by one runner."""
    service.submit(database, request())
    first = claim(database, runner)
    give_back(database, first)
    second = claim(database, runner)
    return [Report(database, job.id, "run_1", job.attempt) for job in (first, second)]


def test_each_claim_counts_one_up_and_people_see_it(database, runner):
    job = service.submit(database, request())
    assert view.get(database, job.id).attempt == 0
    for number in (1, 2, 3):
        assert claim(database, runner).attempt == number
        assert view.get(database, job.id).attempt == number
        give_back(database, service.get(database, job.id))


WRITES = {
    "a report": lambda session, job, old: queue.report(
        session, job, "run_1", "note", {}, attempt=old
    ),
    "which study it opened": lambda session, job, old: queue.opened(
        session, job, "run_1", "st_other", 7, attempt=old
    ),
    "its process": lambda session, job, old: queue.running(session, job, "run_1", 7, attempt=old),
    "its end": lambda session, job, old: queue.end(
        session, job, "run_1", StudyState.FINISHED, attempt=old
    ),
    "its death": lambda session, job, old: deaths.died(
        session, job, "run_1", "was killed", attempt=old
    ),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_an_older_attempt_of_the_same_runner_says_is_refused(database, two_attempts, what):
    old, now = two_attempts
    before = service.get(database, old.job_id)
    with pytest.raises(queue.LeaseLost), database.write() as session:
        WRITES[what](session, old.job_id, old.attempt)
    assert service.get(database, old.job_id) == before
    with database.write() as session:
        queue.owned(session, now.job_id, "run_1", now.attempt)


def test_a_measurement_that_comes_too_late_is_not_the_studys(database, two_attempts):
    old, now = two_attempts
    spec = factories.spec()
    study, _ = studies.open_study(database, spec, new_id=old.job_id, fence=now.fence)
    late, timely = (SqlStudyStore(database, study.id, spec, each.fence) for each in two_attempts)
    with pytest.raises(KeyboardInterrupt):
        late.claim({"layers": 1})
    with pytest.raises(KeyboardInterrupt):
        late.add_measurement(0, factories.measurement(4), [])
    with pytest.raises(KeyboardInterrupt):
        late.add_trial(factories.trial())
    assert (contents.measurements(database), late.trials()) == ([], [])
    timely.add_measurement(0, factories.measurement(8), [])
    timely.add_trial(factories.trial())
    assert [run.batch_size for run in timely.measurements()] == [8]
    assert len(timely.trials()) == 1


def test_an_older_attempt_neither_opens_nor_ends_the_study(database, two_attempts):
    old, now = two_attempts
    with pytest.raises(KeyboardInterrupt):
        studies.open_study(database, factories.spec(), new_id=old.job_id, fence=old.fence)
    study, opening = studies.open_study(
        database, factories.spec(), new_id=old.job_id, fence=now.fence
    )
    assert opening == "new"
    with pytest.raises(KeyboardInterrupt):
        studies.finish(database, study.id, factories.recommendation(), fence=old.fence)
    assert studies.get(database, study.id).state == "running"


def test_a_process_of_an_older_attempt_does_not_end_the_job(database, two_attempts):
    old, _ = two_attempts

    def answer(*_: object) -> StudyAnswer:
        return StudyAnswer(old.job_id, factories.recommendation(), [], True)

    with pytest.raises(queue.LeaseLost):
        run_job(load_settings(), database, old, "cpu", answer)
    assert service.get(database, old.job_id).state == "running"
    assert "finished" not in kinds(database, service.get(database, old.job_id))


class Stuck:
    """A process that ends only when the test says so."""

    pid = 4711

    def __init__(self) -> None:
        self.status: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.status

    def send_signal(self, sig: int) -> None:
        self.signals.append(sig)

    def kill(self) -> None:
        self.status = -signal.SIGKILL


def test_a_runner_ends_a_process_whose_job_it_holds_in_a_later_attempt(database):
    """It was given back behind the runner's back, and taken again under the same id."""
    process = Stuck()
    runner = Runner(
        database,
        RunnerSettings(heartbeat_s=5),
        ScriptedExecutor(offers("cpu"), lambda job, runner_id, offer: process),
    )
    job = service.submit(database, request())
    runner.step()
    with database.write() as session:
        queue.end(session, job.id, runner.id, StudyState.QUEUED)
        record = runner_repository.locked(session, runner.id)
        assert record is not None
        claimed = queue.claim(session, record)
        assert claimed is not None
        assert claimed[0].attempt == 2
    runner.step()
    assert process.signals == [signal.SIGINT]
    process.status = 130
    runner.step()
    assert service.get(database, job.id).state == "running"
