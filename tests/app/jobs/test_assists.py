"""A study on many devices at once: which devices assist it, and what becomes of each."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from app.database.models.searching import ClaimRow
from app.database.models.serving import JobRow
from app.jobs import deaths, queue, repository, runner_repository
from app.jobs.events import Report
from app.jobs.process import EXIT_DONE, EXIT_INTERRUPTED
from app.jobs.records import JobKind
from app.jobs.runner import AGAIN_AFTER_S
from app.studies import service, view
from app.tuning import service as studies
from app.tuning.owner import Owner, this_process
from app.tuning.state import StudyState
from app.tuning.store import SqlStudyStore
from probes.errors import InputError
from tests.app import contents, factories
from tests.app.jobs.conftest import events_of, kinds, offers, request, state
from tests.app.jobs.test_queue import DEAD, add_runner, end
from tests.app.jobs.test_runner import World

PAIR = ("cuda:0", "cuda:1")


@pytest.fixture
def runner(database):
    """A runner with four devices of one class."""
    return add_runner(database, "run_1", offers(*(f"cuda:{n}" for n in range(4))))


def begin(database, runner, **asked):
    """A study that runs: its job, as claimed."""
    service.submit(database, request(**{"devices_at_once": "all", **asked}))
    with database.write() as session:
        claimed = queue.claim(session, runner)
        assert claimed is not None
        job = claimed[0]
        spec = factories.spec(workload=f"trials-{asked.get('trials')}")
    study, _ = studies.open_study(database, spec, new_id=job.id)
    with database.write() as session:
        queue.opened(session, job.id, runner.id, study.id, this_process().pid)
    return job


def assist(database, runner, **limits):
    """The assist that begins, as a job; ``None`` without one."""
    with database.write() as session:
        claimed = queue.assist(session, runner, **limits)
    return claimed[0] if claimed else None


def died(database, assist_job) -> None:
    with database.write() as session:
        deaths.died(session, assist_job.id, "run_1", "was killed by SIGKILL")


class TestJoining:
    @pytest.mark.parametrize(("at_once", "most"), [(1, 0), (2, 1), (3, 2), ("all", 3)])
    def test_as_many_devices_work_on_it_as_were_asked_for(self, database, runner, at_once, most):
        job = begin(database, runner, devices_at_once=at_once)
        helpers = [assist(database, runner) for _ in range(4)]
        begun = [each for each in helpers if each is not None]
        assert len(begun) == most
        assert {each.assists for each in begun} <= {job.id}
        assert len({each.lease for each in begun} | {job.lease}) == 1 + most

    def test_only_a_device_of_its_class_helps(self, database, runner):
        begin(database, runner)
        other = offers("cuda:9", host="b")
        foreign = [type(each)(**{**vars(each), "class_key": "other"}) for each in other.devices]
        stranger = add_runner(database, "run_2", type(other)(other.workloads, tuple(foreign)))
        twin = add_runner(database, "run_3", offers("cuda:0", host="c"))
        assert assist(database, stranger) is None
        assert assist(database, twin) is not None

    def test_a_study_that_has_not_been_opened_or_is_to_be_cancelled_wants_none(
        self, database, runner
    ):
        waiting = service.submit(database, request(devices_at_once="all"))
        assert assist(database, runner) is None
        service.cancel(database, waiting.id)
        job = begin(database, runner, trials=3)
        service.cancel(database, job.id)
        assert assist(database, runner) is None

    def test_the_study_with_the_fewest_devices_gets_the_next_one(self, database, runner):
        first, second = (begin(database, runner, trials=n, device=f"cuda:{n - 1}") for n in (1, 2))
        joined = [assist(database, runner).assists for _ in range(2)]
        assert Counter(joined) == {first.id: 1, second.id: 1}

    def test_two_runners_never_use_one_device(self, database, runner):
        begin(database, runner, devices_at_once=4)
        again = add_runner(database, "run_2", offers("cuda:1"))
        assert assist(database, again) is not None
        leases = [assist(database, runner).lease for _ in range(2)]
        assert len({*leases, "here/cuda:1"}) == 3
        assert assist(database, runner) is None

    def test_asking_again_with_more_devices_widens_the_study_that_runs(self, database, runner):
        job = begin(database, runner, devices_at_once=1)
        assert assist(database, runner) is None
        again = service.submit(database, request(devices_at_once=2))
        assert again.id == job.id
        assert assist(database, runner) is not None
        service.submit(database, request(devices_at_once=1))
        assert service.get(database, job.id).devices_at_once == 2

    def test_devices_that_train_as_one_take_no_assistants(self, database):
        with pytest.raises(InputError, match="devices_at_once"):
            service.submit(database, request(devices=2, devices_at_once="all"))


class TestSeeing:
    def test_people_see_the_study_and_not_its_assistants(self, database, runner):
        job = begin(database, runner)
        helper = assist(database, runner)
        listed = view.page(database, limit=10)
        assert [each.id for each in listed] == [job.id]
        shown = view.get(database, job.id)
        assert [(each.device, each.role) for each in shown.devices] == [
            ("cuda:0", "owner"),
            ("cuda:1", "assistant"),
        ]
        assert listed[0].devices == shown.devices
        assert kinds(database, job) == ["queued", "started", "joined"]
        with database.read() as session:
            assert repository.counts(session) == {"running": 1}
            assert repository.find(session, job.id).id == job.id
            assert repository.by_lease(session, {helper.lease}) == {helper.lease: job.id}

    def test_what_an_assistant_reports_is_an_event_of_the_study(self, database, runner):
        job = begin(database, runner)
        helper = assist(database, runner)
        report = Report(database, helper.id, "run_1", helper.attempt)
        report.measures_at("cuda:1")
        report.running(77)
        report.note("hello")
        (event,) = [each for each in events_of(database, job) if each.kind == "note"]
        assert event.data["text"] == "hello"
        assert event.data["device"] == "cuda:1"


class TestLeaving:
    def test_the_device_is_free_again_and_nothing_is_left_of_it(self, database, runner):
        job = begin(database, runner, devices_at_once=2)
        helper = assist(database, runner)
        end(database, helper.id, "finished")
        assert kinds(database, job)[-1] == "left"
        with database.read() as session:
            assert repository.get(session, helper.id) is None
        assert assist(database, runner).lease == helper.lease

    def test_one_that_dies_loses_its_claim_only_and_the_study_goes_on(self, database, runner):
        job = begin(database, runner)
        helper = assist(database, runner)
        with database.write() as session:
            session.add(
                ClaimRow(
                    study_id=job.id,
                    config_hash="abc",
                    config={"layers": 1},
                    claimed_at=job.created_at,
                    number=5,
                    **DEAD.columns(),
                )
            )
            queue.running(session, helper.id, "run_1", DEAD.pid)
        died(database, helper)
        with database.read() as session:
            assert session.query(ClaimRow).count() == 0
        assert state(database, job) == "running"
        assert service.get(database, job.id).deaths == 0
        assert "killed by SIGKILL" in events_of(database, job)[-1].data["message"]

    def test_a_device_on_which_it_keeps_dying_helps_no_more(self, database):
        runner = add_runner(database, "run_1", offers(*PAIR))
        job = begin(database, runner)
        for attempt in (1, 2):
            helper = assist(database, runner)
            assert (helper.lease, helper.attempt) == ("here/cuda:1", attempt)
            died(database, helper)
        assert assist(database, runner) is None
        twin = add_runner(database, "run_2", offers("cuda:0", host="b"))
        assert assist(database, twin) is not None
        end(database, job.id, "finished")
        with database.read() as session:
            kept = session.query(JobRow).filter(JobRow.kind == JobKind.ASSIST)
            assert [row.state for row in kept] == ["running"]

    def test_an_error_of_the_assistant_is_told_and_it_is_not_tried_again(self, database):
        runner = add_runner(database, "run_1", offers(*PAIR))
        job = begin(database, runner)
        helper = assist(database, runner)
        with database.write() as session:
            queue.end(session, helper.id, "run_1", StudyState.FAILED, "No room on the disk.")
        assert events_of(database, job)[-1].data["message"] == "No room on the disk."
        assert assist(database, runner) is None
        assert state(database, job) == "running"

    def test_its_runner_dies_on_another_host(self, database, runner):
        """Nobody here can look up its processes: what they had claimed is released with it."""
        job = begin(database, runner)
        there = Owner(77, "there", 1.0)
        other = add_runner(
            database, "run_2", offers("cuda:0", host="b"), owner=there, place="there"
        )
        helper = assist(database, other)
        with database.write() as session:
            queue.running(session, helper.id, "run_2", 78)
            for number, pid in enumerate((78, 79)):
                owner = Owner(pid, "there", 2.0)
                session.add(
                    ClaimRow(
                        study_id=job.id,
                        config_hash=str(pid),
                        config={"layers": pid},
                        claimed_at=job.created_at,
                        number=number,
                        **owner.columns(),
                    )
                )
        with database.write() as session:
            assert deaths.bury(session, "run_2") == []
        with database.read() as session:
            assert [row.config["layers"] for row in session.query(ClaimRow)] == [79]
            assert repository.get(session, helper.id) is None or (
                repository.get(session, helper.id).state == "failed"
            )
        assert state(database, job) == "running"


class TestFence:
    @pytest.fixture
    def pair(self, database, runner):
        job = begin(database, runner)
        helper = assist(database, runner)
        return job, helper, Report(database, helper.id, "run_1", helper.attempt)

    def store(self, database, job, report):
        return SqlStudyStore(database, job.id, factories.spec(workload="trials-None"), report.fence)

    def test_what_it_measures_is_the_studys(self, database, pair):
        job, _, report = pair
        self.store(database, job, report).add_measurement(0, factories.measurement(), [])
        assert len(contents.measurements(database)) == 1

    def test_its_owner_died_and_it_goes_on_until_another_takes_the_study(self, database, pair):
        job, _, report = pair
        with database.write() as session:
            deaths.died(session, job.id, "run_1", "was killed by SIGKILL")
        assert state(database, job) == "interrupted"
        self.store(database, job, report).add_measurement(0, factories.measurement(), [])
        assert len(contents.measurements(database)) == 1

    @pytest.mark.parametrize("ending", ["finished", "failed", "cancelled"])
    def test_nothing_more_is_stored_when_the_study_is_over(self, database, pair, ending):
        job, _, report = pair
        end(database, job.id, ending)
        with pytest.raises(KeyboardInterrupt):
            self.store(database, job, report).add_measurement(0, factories.measurement(), [])
        assert contents.measurements(database) == []

    def test_an_older_attempt_of_the_same_device_stores_nothing(self, database, runner, pair):
        _, helper, report = pair
        died(database, helper)
        again = assist(database, runner)
        assert (again.id, again.attempt) == (helper.id, 2)
        with pytest.raises(KeyboardInterrupt):
            report.note("too late")

    def test_a_study_that_went_on_with_another_class_wants_nothing_of_this_one(
        self, database, pair
    ):
        job, _, report = pair
        with database.write() as session:
            session.get_one(JobRow, job.id).class_key = "another"
        with pytest.raises(KeyboardInterrupt):
            report.check()


class TestResuming:
    def test_any_device_of_the_class_resumes_it_at_once(self, database, runner):
        """A study of one device waits for that one; here every device of the class is as good."""
        job = begin(database, runner)
        with database.write() as session:
            deaths.died(session, job.id, "run_1", "was killed by SIGKILL")
        twin = add_runner(database, "run_2", offers("cuda:3", host="b"))
        with database.write() as session:
            claimed = queue.claim(session, twin)
        assert claimed is not None
        assert (claimed[0].id, claimed[1].device, claimed[0].attempt) == (job.id, "cuda:3", 2)

    def test_a_study_of_one_device_waits_for_it(self, database, runner):
        job = begin(database, runner, devices_at_once=1)
        with database.write() as session:
            deaths.died(session, job.id, "run_1", "was killed by SIGKILL")
        twin = add_runner(database, "run_2", offers("cuda:3", host="b"))
        with database.write() as session:
            assert queue.claim(session, twin) is None


class TestRunners:
    """What the runner's own rounds do, with processes that end when the test says so."""

    @pytest.fixture
    def world(self, database):
        return World(database)

    def open(self, world, process):
        study, _ = studies.open_study(world.database, factories.spec(), new_id=process.job_id)
        with world.database.write() as session:
            queue.opened(session, process.job_id, process.runner_id, study.id, process.pid)

    @pytest.fixture
    def helped(self, world):
        job = world.submit(devices_at_once="all")
        runner = world.runner(*PAIR)
        runner.step()
        self.open(world, world.last)
        runner.step()
        owner, helper = world.processes
        assert helper.lease == "here/cuda:1"
        return job, runner, owner, helper

    def test_jobs_that_wait_come_first(self, world):
        first = world.submit(devices_at_once="all")
        runner = world.runner(*PAIR)
        runner.step()
        self.open(world, world.last)
        second = world.submit(trials=7, device="cuda:1")
        runner.step()
        assert runner.is_running == [first.id, second.id]

    def test_cancelling_ends_all_of_them(self, world, helped):
        job, runner, owner, helper = helped
        service.cancel(world.database, job.id)
        runner.step()
        assert (owner.signals, helper.signals) == ([signal.SIGINT], [signal.SIGINT])
        for process in (owner, helper):
            process.end(EXIT_INTERRUPTED)
        runner.step()
        assert state(world.database, job) == "cancelled"
        assert runner.is_running == []
        assert view.get(world.database, job.id).devices == []

    def test_when_the_study_is_finished_its_assistants_end(self, world, helped):
        job, runner, owner, helper = helped
        owner.finish()
        runner.step()
        assert helper.signals == [signal.SIGINT]
        helper.end(EXIT_INTERRUPTED)
        runner.step()
        assert kinds(world.database, job)[-1] == "finished"
        with world.database.read() as session:
            assert repository.get(session, helper.job_id) is None

    def test_an_assistant_that_is_done_is_not_started_again_at_once(self, world, helped):
        _, runner, _, helper = helped
        with world.database.write() as session:
            queue.end(session, helper.job_id, runner.id, StudyState.FINISHED)
        helper.end(EXIT_DONE)
        runner.step()
        runner.step()
        assert len(world.processes) == 2
        world.now_s += AGAIN_AFTER_S + 1
        runner.step()
        assert len(world.processes) == 3

    def test_the_owner_dies_and_the_study_is_resumed_while_the_assistant_goes_on(
        self, world, helped
    ):
        job, runner, owner, helper = helped
        owner.end(-signal.SIGKILL)
        runner.step()
        assert state(world.database, job) == "interrupted"
        assert helper.signals == []
        world.now_s += AGAIN_AFTER_S + 1
        runner.step()
        assert state(world.database, job) == "running"
        assert helper.signals == []
        assert service.get(world.database, job.id).attempt == 2

    def test_a_runner_that_stops_takes_its_assistants_with_it(self, world, helped):
        job, runner, owner, helper = helped
        for process in (owner, helper):
            process.send_signal = lambda sig, p=process: p.end(143)
        runner.stop()
        runner.run()
        assert state(world.database, job) == "queued"
        with world.database.read() as session:
            assert runner_repository.listing(session) == []
            assert repository.get(session, helper.job_id) is None
