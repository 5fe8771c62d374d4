"""Who takes which job, and what becomes of jobs whose process or runner died."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from app.database.models.results import StudyRow
from app.database.models.serving import JobRow
from app.jobs import deaths, queue, runner_repository
from app.jobs.deaths import HeartbeatMonitor
from app.jobs.offers import Offers
from app.studies import service
from app.tuning import service as studies
from app.tuning.owner import Owner, _started_s, this_place, this_process
from app.tuning.state import StudyState
from tests.app import factories
from tests.app.jobs.conftest import kinds, offers, request, state

DEAD = Owner(2**22 - 1, this_process().host, 1.0)


def add_runner(
    database, runner_id: str, offered: Offers, *, owner: Owner | None = None, place: str = ""
):
    with database.write() as session:
        runner_repository.add(
            session, runner_id, owner or this_process(), place or this_place(), offered
        )
        return runner_repository.locked(session, runner_id)


def claim(database, runner, **limits):
    """Job id and device of what the runner takes."""
    with database.write() as session:
        claimed = queue.claim(session, runner, **limits)
    return (claimed[0].id, claimed[1].device) if claimed else None


def end(database, job_id: str, as_state: str, runner_id: str = "run_1") -> None:
    with database.write() as session:
        queue.end(session, job_id, runner_id, StudyState(as_state))


class TestTaking:
    def test_the_oldest_first_and_one_per_device(self, database):
        runner = add_runner(database, "run_1", offers("cpu", "cuda:0"))
        asked = [service.submit(database, request(trials=n, device="cpu")) for n in (1, 2)]
        assert claim(database, runner) == (asked[0].id, "cpu")
        assert claim(database, runner) is None
        other = service.submit(database, request(device="cuda"))
        assert claim(database, runner) == (other.id, "cuda:0")
        end(database, asked[0].id, "finished")
        assert claim(database, runner) == (asked[1].id, "cpu")

    def test_taking_is_seen(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        job = service.submit(database, request())
        claim(database, runner)
        taken = service.get(database, job.id)
        assert (taken.state, taken.runner_id, taken.lease) == ("running", "run_1", "here/cpu")
        assert taken.started_at is not None
        assert kinds(database, job) == ["queued", "started"]

    def test_two_runners_of_one_host_never_share_a_device(self, database):
        first = add_runner(database, "run_1", offers("cuda:0"))
        second = add_runner(database, "run_2", offers("cuda:0"))
        for n in (1, 2):
            service.submit(database, request(trials=n))
        assert claim(database, first) is not None
        assert claim(database, second) is None

    def test_the_same_name_on_another_host_is_another_device(self, database):
        first = add_runner(database, "run_1", offers("cuda:0", host="a"))
        second = add_runner(database, "run_2", offers("cuda:0", host="b"))
        for n in (1, 2):
            service.submit(database, request(trials=n, device="cuda:0"))
        assert claim(database, first) is not None
        assert claim(database, second) is not None

    @pytest.mark.parametrize(
        ("device", "taken"),
        [
            (None, "cuda:0"),
            ("cuda", "cuda:0"),
            ("CUDA:1", "cuda:1"),
            ("here-cuda:1", "cuda:1"),
            ("model cuda:1", "cuda:1"),
            ("class", "cuda:0"),
            ("cuda:7", None),
            ("another-fingerprint", None),
        ],
    )
    def test_a_device_is_asked_for_by_name_fingerprint_or_product(self, database, device, taken):
        runner = add_runner(database, "run_1", offers("cuda:0", "cuda:1", "cpu"))
        service.submit(database, request(device=device))
        claimed = claim(database, runner)
        assert (claimed[1] if claimed else None) == taken

    def test_who_asks_for_no_device_waits_for_the_best_one(self, database):
        runner = add_runner(database, "run_1", offers("cuda:0", "cpu"))
        for n in (1, 2):
            service.submit(database, request(trials=n))
        assert claim(database, runner) is not None
        assert claim(database, runner) is None

    def test_a_runner_without_the_workload_or_the_device_leaves_it(self, database):
        service.submit(database, request(device="cuda:0"))
        assert claim(database, add_runner(database, "run_1", offers("cpu"))) is None
        bare = Offers({"other": ""}, offers("cuda:0").devices)
        assert claim(database, add_runner(database, "run_2", bare)) is None

    def test_a_workload_runs_on_the_devices_its_own_interpreter_sees(self, database):
        seen = (*offers("cpu").devices, *offers("cuda:0", python="/venv/bin/python").devices)
        offered = Offers({"transformer": "", "visnet": "/venv/bin/python"}, seen)
        runner = add_runner(database, "run_1", offered)
        job = service.submit(database, request(device="cuda:0"))
        assert claim(database, runner) is None
        other = service.submit(database, request(device="cuda:0", workload="visnet"))
        assert claim(database, runner) == (other.id, "cuda:0")
        assert state(database, job) == "queued"

    def test_jobs_to_skip_and_devices_in_use_are_left(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        first, second = (service.submit(database, request(trials=n)) for n in (1, 2))
        assert claim(database, runner, busy={"here/cpu"}) is None
        assert claim(database, runner, skip=[first.id]) == (second.id, "cpu")

    def test_a_job_in_the_way_does_not_hold_up_those_behind_it(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        for n in range(1, 30):
            service.submit(database, request(trials=n, device="cuda:5"))
        last = service.submit(database, request())
        assert claim(database, runner) == (last.id, "cpu")


class TestReporting:
    def test_only_the_runner_that_has_the_job_may(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        job = service.submit(database, request())
        claim(database, runner)
        with database.write() as session:
            queue.report(session, job.id, "run_1", "note", {"text": "hello"})
        with pytest.raises(queue.LeaseLost), database.write() as session:
            queue.report(session, job.id, "run_2", "note", {"text": "hello"})
        end(database, job.id, "finished")
        with pytest.raises(queue.LeaseLost), database.write() as session:
            queue.report(session, job.id, "run_1", "note", {"text": "too late"})
        with pytest.raises(queue.LeaseLost):
            end(database, job.id, "failed")
        assert kinds(database, job) == ["queued", "started", "note", "finished"]

    def test_a_job_that_is_over_releases_the_device_and_counts_its_time(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        job = service.submit(database, request())
        claim(database, runner)
        end(database, job.id, "finished")
        ended = service.get(database, job.id)
        assert (ended.lease, ended.runner_id) == (None, None)
        assert ended.finished_at is not None
        assert ended.wall_s > 0


def die(database, runner, job, times: int) -> None:
    for _ in range(times):
        assert claim(database, runner) is not None
        with database.write() as session:
            deaths.died(session, job.id, runner.id, "was killed by SIGKILL")


class TestPoison:
    def test_a_job_that_dies_is_tried_again_and_the_third_death_is_the_last(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        job = service.submit(database, request())
        die(database, runner, job, 2)
        assert state(database, job) == "interrupted"
        die(database, runner, job, 1)
        failed = service.get(database, job.id)
        assert failed.state == "failed"
        assert "was killed by SIGKILL" in failed.message
        assert "3 times in a row" in failed.message
        assert claim(database, runner) is None

    def test_one_that_gets_on_between_deaths_is_not_poison(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        job = service.submit(database, request())
        for _ in range(5):
            claim(database, runner)
            with database.write() as session:
                queue.report(session, job.id, "run_1", "measured", {})
                deaths.died(session, job.id, "run_1", "was killed by SIGKILL")
        assert state(database, job) == "interrupted"
        assert service.get(database, job.id).deaths == 1

    def test_deaths_of_its_runner_count_as_its_own(self, database):
        job = service.submit(database, request())
        for number in range(3):
            runner = add_runner(database, f"run_{number}", offers("cpu"), owner=DEAD)
            assert claim(database, runner) is not None
            with database.write() as session:
                deaths.bury_dead_here(session)
        assert state(database, job) == "failed"
        assert "Its runner (process" in service.get(database, job.id).message

    def test_giving_back_does_not_count(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        job = service.submit(database, request())
        for _ in range(5):
            claim(database, runner)
            end(database, job.id, "queued")
        assert (state(database, job), service.get(database, job.id).deaths) == ("queued", 0)


class TestInheriting:
    def test_a_dead_runner_on_this_host_is_found_at_once(self, database):
        dead = add_runner(database, "run_1", offers("cpu"), owner=DEAD)
        job = service.submit(database, request())
        claim(database, dead)
        heir = add_runner(database, "run_2", offers("cpu"))
        assert claim(database, heir) is None
        with database.write() as session:
            (buried,) = deaths.bury_dead_here(session)
        assert (buried.id, buried.state) == (job.id, "interrupted")
        assert f"process {DEAD.pid}" in buried.message
        assert claim(database, heir) == (job.id, "cpu")
        with database.read() as session:
            assert [r.id for r in runner_repository.listing(session)] == ["run_2"]

    def test_a_living_runner_and_one_that_cannot_be_seen_are_left_alone(self, database):
        add_runner(database, "run_1", offers("cpu"))
        add_runner(database, "run_2", offers("cpu"), owner=DEAD, place="elsewhere")
        with database.write() as session:
            assert deaths.bury_dead_here(session) == []
            assert len(runner_repository.listing(session)) == 2

    def test_what_was_to_be_cancelled_is_and_does_not_run_again(self, database):
        dead = add_runner(database, "run_1", offers("cpu"), owner=DEAD, place="elsewhere")
        job = service.submit(database, request())
        claim(database, dead)
        service.cancel(database, job.id)
        with database.write() as session:
            deaths.bury(session, "run_1")
        assert state(database, job) == "cancelled"

    def test_cancel_finds_a_dead_runner_by_itself(self, database):
        dead = add_runner(database, "run_1", offers("cpu"), owner=DEAD)
        job = service.submit(database, request())
        claim(database, dead)
        assert service.cancel(database, job.id).state == "cancelled"

    def test_a_runner_that_was_buried_alive_learns_it_from_its_next_beat(self, database):
        runner = add_runner(database, "run_1", offers("cpu"))
        job = service.submit(database, request())
        claim(database, runner)
        with database.write() as session:
            assert runner_repository.beat(session, "run_1")
            deaths.bury(session, "run_1")
            assert deaths.bury(session, "run_1") == []
        with database.write() as session:
            assert not runner_repository.beat(session, "run_1")
        with pytest.raises(queue.LeaseLost):
            end(database, job.id, "finished")

    def test_the_study_of_a_dead_host_need_not_be_silent_for_half_an_hour(self, database):
        there = Owner(77, "there", 1.0)
        dead = add_runner(database, "run_1", offers("cpu"), owner=there, place="there")
        job = service.submit(database, request())
        claim(database, dead)
        study, _ = studies.open_study(database, factories.spec())
        with database.write() as session:
            row = session.get_one(StudyRow, study.id)
            row.owner_host, row.owner_pid, row.owner_started_s = "there", 78, 2.0
            queue.opened(session, job.id, "run_1", study.id, 78)
        with pytest.raises(studies.StudyIsRunning):
            studies.open_study(database, factories.spec())
        with database.write() as session:
            deaths.bury(session, "run_1")
        assert studies.open_study(database, factories.spec())[1] == "resumed"

    def test_another_command_that_runs_the_study_is_not_touched(self, database):
        there = Owner(77, "there", 1.0)
        dead = add_runner(database, "run_1", offers("cpu"), owner=there, place="there")
        job = service.submit(database, request())
        claim(database, dead)
        study, _ = studies.open_study(database, factories.spec())
        with database.write() as session:
            queue.opened(session, job.id, "run_1", study.id, 78)
            deaths.bury(session, "run_1")
        assert studies.get(database, study.id).owner == this_process()

    def test_it_is_gone_on_with_where_it_was_measured_and_elsewhere_only_later(self, database):
        here = add_runner(database, "run_1", offers("cpu", host="a"), owner=DEAD)
        there = add_runner(database, "run_2", offers("cpu", host="b"))
        job = service.submit(database, request())
        claim(database, here)
        with database.write() as session:
            deaths.bury(session, "run_1")
        assert claim(database, there) is None
        back = add_runner(database, "run_3", offers("cpu", host="a"))
        assert claim(database, back) == (job.id, "cpu")
        end(database, job.id, "queued", "run_3")
        with database.write() as session:
            row = session.get_one(JobRow, job.id)
            assert row.elsewhere_at is not None
            row.elsewhere_at -= queue.ELSEWHERE_AFTER
        assert claim(database, there) == (job.id, "cpu")


class Clock:
    """Goes forward when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class TestWatching:
    """Runners of other hosts are judged by our own clock, and by nothing they say of theirs."""

    def test_one_that_stirs_lives_and_one_that_does_not_is_silent(self, database):
        clock = Clock()
        watch = HeartbeatMonitor(60.0, clock)
        for name in ("run_1", "run_2"):
            add_runner(database, name, offers("cpu"), owner=DEAD, place="elsewhere")

        def silent() -> list[str]:
            with database.read() as session:
                return watch.silent(runner_repository.listing(session))

        for clock.now_s in (0.0, 30.0, 59.0):
            with database.write() as session:
                runner_repository.beat(session, "run_1")
            assert silent() == []
        clock.now_s = 61.0
        assert silent() == ["run_2"]

    def test_while_we_could_not_look_nobody_was_silent(self, database):
        clock = Clock()
        watch = HeartbeatMonitor(60.0, clock)
        add_runner(database, "run_1", offers("cpu"), owner=DEAD, place="elsewhere")
        with database.read() as session:
            runners = runner_repository.listing(session)
        watch.silent(runners)
        watch.forget()
        clock.now_s = 100.0
        assert watch.silent(runners) == []
        clock.now_s = 161.0
        assert watch.silent(runners) == ["run_1"]

    def test_runners_here_are_looked_up_instead(self, database):
        clock = Clock()
        watch = HeartbeatMonitor(60.0, clock)
        add_runner(database, "run_1", offers("cpu"))
        with database.read() as session:
            runners = runner_repository.listing(session)
        watch.silent(runners)
        clock.now_s = 1000.0
        assert watch.silent(runners) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere psutil has to do")
def test_a_process_is_recognised_whatever_the_clock_is_set_to(monkeypatch):
    """A host's clock that jumps must not make a running process look like a later one."""
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    owner = Owner(child.pid, this_process().host, _started_s(psutil.Process(child.pid)))
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 0.0)
    assert owner.is_alive()
    assert not Owner(child.pid, owner.host, owner.started_s + 1).is_alive()
    child.kill()
    child.communicate()
    assert not owner.is_alive()
