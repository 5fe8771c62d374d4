"""What a runner does, round by round: with processes and a clock that the test moves."""

from __future__ import annotations

import itertools
import random
import signal
from datetime import timedelta

import pytest

from app.database.errors import DatabaseUnavailable
from app.database.models.serving import JobRow
from app.jobs import deaths, events, queue, runner_repository
from app.jobs import repository as jobs
from app.jobs import runner as runners
from app.jobs.process import EXIT_AGAIN, EXIT_DONE, EXIT_INTERRUPTED, EXIT_TERMINATED
from app.jobs.runner import Runner, how_it_ended
from app.settings import RunnerSettings
from app.studies import service, view
from app.studies.schemas import StudyOut
from app.tuning.owner import Owner, this_process
from app.tuning.state import StudyState
from tests.app.jobs.conftest import ScriptedExecutor, kinds, offers, request, state

SETTINGS = RunnerSettings(heartbeat_s=5, dead_after_s=60, cancel_grace_s=5)


class FakeProcess:
    """A job's process that ends when the test says so."""

    pids = itertools.count(10_000)

    def __init__(self, world: World, job_id: str, runner_id: str, lease: str) -> None:
        self.world, self.job_id, self.runner_id, self.lease = world, job_id, runner_id, lease
        self.pid = next(self.pids)
        self.status: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.status

    def send_signal(self, sig: int) -> None:
        self.signals.append(sig)

    def kill(self) -> None:
        self.end(-signal.SIGKILL)

    def end(self, status: int) -> None:
        self.status = status if self.status is None else self.status

    def finish(self) -> None:
        """Store that the job is finished, and end."""
        with self.world.database.write() as session:
            queue.end(session, self.job_id, self.runner_id, StudyState.FINISHED)
        self.end(EXIT_DONE)


class World:
    """A database, a clock, and every process that was started."""

    def __init__(self, database) -> None:
        self.database = database
        self.now_s = 0.0
        self.processes: list[FakeProcess] = []

    def runner(self, *devices: str) -> Runner:
        return Runner(
            self.database,
            SETTINGS,
            ScriptedExecutor(offers(*devices), self.start),
            clock=lambda: self.now_s,
        )

    def start(self, job, runner_id, offer) -> FakeProcess:
        alive = [p.lease for p in self.processes if p.status is None]
        assert offer.lease not in alive, "two processes on one device"
        self.processes.append(FakeProcess(self, job.id, runner_id, offer.lease))
        return self.processes[-1]

    def submit(self, **changes):
        return service.submit(self.database, request(**changes))

    @property
    def last(self) -> FakeProcess:
        return self.processes[-1]


@pytest.fixture
def world(database) -> World:
    return World(database)


class TestOneJob:
    def test_it_is_started_and_reaped(self, world):
        job, runner = world.submit(), world.runner()
        runner.step()
        assert (runner.is_running, state(world.database, job)) == ([job.id], "running")
        world.last.finish()
        runner.step()
        assert (runner.is_running, state(world.database, job)) == ([], "finished")
        assert kinds(world.database, job) == ["queued", "started", "finished"]

    def test_the_next_one_waits_until_the_process_is_gone(self, world):
        first, second = world.submit(trials=1), world.submit(trials=2)
        runner = world.runner()
        runner.step()
        with world.database.write() as session:
            queue.end(session, first.id, runner.id, StudyState.FINISHED)
        runner.step()
        assert state(world.database, second) == "queued"
        world.last.end(EXIT_DONE)
        runner.step()
        assert state(world.database, second) == "running"

    @pytest.mark.parametrize(
        ("status", "after", "words"),
        [
            (-signal.SIGKILL, "interrupted", "killed by SIGKILL"),
            (1, "interrupted", "ended with status 1"),
            (EXIT_DONE, "interrupted", "ended with status 0"),
            (EXIT_AGAIN, "queued", "database"),
            (EXIT_TERMINATED, "queued", "stopped"),
            (EXIT_INTERRUPTED, "cancelled", "signal"),
        ],
    )
    def test_how_a_process_ended_without_a_word(self, world, status, after, words):
        job, runner = world.submit(), world.runner()
        runner.step()
        world.last.end(status)
        runner.step()
        ended = service.get(world.database, job.id)
        assert ended.state == after
        assert words in ended.message

    def test_what_was_given_back_is_not_taken_up_at_once(self, world):
        job, runner = world.submit(), world.runner()
        runner.step()
        world.last.end(EXIT_AGAIN)
        runner.step()
        runner.step()
        assert state(world.database, job) == "queued"
        world.now_s += runners.AGAIN_AFTER_S + 1
        runner.step()
        assert state(world.database, job) == "running"

    def test_a_process_that_cannot_be_started_is_a_death(self, world):
        def no_memory(*_: object) -> FakeProcess:
            raise OSError(12, "Cannot allocate memory")

        job = world.submit()
        runner = Runner(world.database, SETTINGS, ScriptedExecutor(offers(), no_memory))
        runner.step()
        assert state(world.database, job) == "interrupted"
        assert "Cannot allocate memory" in service.get(world.database, job.id).message

    def test_words_for_an_exit_status(self):
        assert how_it_ended(3) == "ended with status 3"
        assert how_it_ended(-signal.SIGSEGV) == "was killed by SIGSEGV"
        assert how_it_ended(-200) == "was killed by signal 200"


class TestCancelling:
    def test_the_process_is_asked_to_end_and_the_job_is_cancelled(self, world):
        job, runner = world.submit(), world.runner()
        runner.step()
        service.cancel(world.database, job.id)
        runner.step()
        runner.step()
        assert world.last.signals == [signal.SIGINT]
        world.last.end(EXIT_INTERRUPTED)
        runner.step()
        assert service.get(world.database, job.id).message == "Cancelled."
        assert state(world.database, job) == "cancelled"

    def test_one_that_does_not_listen_is_killed_after_the_grace(self, world):
        job, runner = world.submit(), world.runner()
        runner.step()
        service.cancel(world.database, job.id)
        runner.step()
        world.now_s += SETTINGS.cancel_grace_s - 1
        runner.step()
        assert world.last.status is None
        world.now_s += 1
        runner.step()
        runner.step()
        assert world.last.status == -signal.SIGKILL
        assert state(world.database, job) == "cancelled"

    def test_one_that_finished_first_is_finished(self, world):
        job, runner = world.submit(), world.runner()
        runner.step()
        service.cancel(world.database, job.id)
        world.last.finish()
        runner.step()
        assert state(world.database, job) == "finished"


class TestStopping:
    def test_jobs_go_back_to_the_queue_and_the_runner_signs_off(self, world, monkeypatch):
        job, runner = world.submit(), world.runner()
        runner.step()
        monkeypatch.setattr(world.last, "send_signal", lambda sig: world.last.end(EXIT_TERMINATED))
        runner.stop()
        runner.run()
        given_back = service.get(world.database, job.id)
        assert (given_back.state, given_back.deaths) == ("queued", 0)
        assert "stopped" in given_back.message
        with world.database.read() as session:
            assert runner_repository.listing(session) == []

    def test_nothing_new_is_begun(self, world):
        runner = world.runner()
        job = world.submit()
        runner.stop()
        runner.run()
        assert state(world.database, job) == "queued"
        assert world.processes == []

    def test_asked_twice_it_does_not_wait(self, world):
        world.submit()
        runner = world.runner()
        runner.step()
        runner.stop()
        assert world.last.status is None
        runner.stop()
        assert world.last.status == -signal.SIGKILL

    def test_idle_for_long_it_ends(self, world, monkeypatch):
        runner = world.runner()

        def sleep(seconds: float) -> None:
            world.now_s += 10

        monkeypatch.setattr(runners.time, "sleep", sleep)
        runner.run(idle_exit_s=100)
        assert world.now_s >= 100
        with world.database.read() as session:
            assert runner_repository.listing(session) == []

    def test_a_runner_with_work_is_not_idle(self, world):
        world.submit()
        runner = world.runner()
        runner.step()
        world.now_s += 1000
        assert runner.idle_s == 0
        world.last.finish()
        runner.step()
        world.now_s += 7
        assert runner.idle_s == 7


class TestOffering:
    def test_a_workload_that_is_registered_meanwhile_is_run(self, world):
        more = offers("cpu")
        more.workloads["new"] = ""
        found: list = [None]
        runner = Runner(
            world.database,
            SETTINGS,
            ScriptedExecutor(offers("cpu"), world.start, found.pop),
            clock=lambda: world.now_s,
        )
        runner.step()
        before = runner.id
        with world.database.write() as session:
            job = jobs.add(session, "st_new", request(workload="new"))
            job_id = job.id
        runner.step()
        assert service.get(world.database, job_id).state == "queued"
        found[:] = [None, more]
        world.now_s += SETTINGS.heartbeat_s
        runner.step()
        assert service.get(world.database, job_id).state == "running"
        with world.database.read() as session:
            (record,) = runner_repository.listing(session)
        assert (record.id, set(record.offers.workloads)) == (before, set(more.workloads))

    def test_while_something_is_measured_nobody_looks(self, world):
        looks: list[int] = []
        runner = Runner(
            world.database,
            SETTINGS,
            ScriptedExecutor(offers("cpu"), world.start, lambda: looks.append(1)),
            clock=lambda: world.now_s,
        )
        world.submit()
        runner.step()
        world.now_s += SETTINGS.heartbeat_s
        runner.step()
        assert looks == []
        world.last.finish()
        runner.step()
        world.now_s += SETTINGS.heartbeat_s
        runner.step()
        assert looks == [1]


class TestLosingOut:
    def test_taken_for_dead_it_ends_its_studies_and_registers_again(self, world):
        job, runner = world.submit(), world.runner()
        runner.step()
        before = runner.id
        with world.database.write() as session:
            deaths.bury(session, before)
        runner.step()  # between two beats already: the job is not its own any more
        assert world.last.signals == [signal.SIGINT]
        world.now_s += SETTINGS.heartbeat_s
        runner.step()
        assert runner.id not in ("", before)
        world.last.end(EXIT_INTERRUPTED)
        runner.step()
        assert state(world.database, job) == "running"  # it took it again, as anybody might have
        assert len(world.processes) == 2

    def test_a_job_that_was_deleted_under_it_is_ended(self, world):
        job, runner = world.submit(), world.runner()
        runner.step()
        with world.database.write() as session:
            session.delete(session.get_one(JobRow, job.id))
        runner.step()
        assert world.last.signals == [signal.SIGINT]
        world.last.end(EXIT_INTERRUPTED)
        runner.step()
        assert runner.is_running == []

    def test_a_database_that_is_away_is_waited_for(self, world, monkeypatch):
        job, runner = world.submit(), world.runner()
        runner.step()

        def gone(*_: object, **__: object) -> None:
            raise DatabaseUnavailable("The server does not answer.")

        world.last.end(-signal.SIGKILL)
        with monkeypatch.context() as patch:
            patch.setattr(deaths, "died", gone)
            for _ in range(3):
                runner.step()
        assert (runner.is_running, state(world.database, job)) == ([job.id], "running")
        runner.step()
        assert (runner.is_running, state(world.database, job)) == ([], "interrupted")

    def test_a_runner_elsewhere_that_fell_silent_is_inherited_from(self, world):
        there = Owner(77, "there", 1.0)
        with world.database.write() as session:
            runner_repository.add(session, "run_x", there, "elsewhere", offers("cpu"))
            other = runner_repository.locked(session, "run_x")
        job = world.submit()
        with world.database.write() as session:
            assert queue.claim(session, other) is not None
        runner = world.runner("cpu")
        for world.now_s in range(0, 61, 6):
            assert state(world.database, job) == "running"
            runner.step()
        world.now_s = 66
        runner.step()
        assert service.get(world.database, job.id).runner_id == runner.id


class Chaos:
    """Two hosts' worth of runners to which anything may happen."""

    DEVICES = (("cpu", "cuda:0"), ("cuda:0", "cuda:1"))

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.dead: set[int] = set()
        self.runners = [world.runner(*devices) for devices in self.DEVICES]

    def running(self) -> list[FakeProcess]:
        return [process for process in self.world.processes if process.status is None]

    def finish(self, process: FakeProcess) -> None:
        try:
            process.finish()
        except queue.LeaseLost:
            process.end(EXIT_INTERRUPTED)

    def kill_a_runner(self) -> None:
        """Its processes go with it; another one comes."""
        victim = self.chance.choice(self.runners)
        self.runners.remove(victim)
        with self.world.database.read() as session:
            known = runner_repository.listing(session)
        self.dead |= {runner.owner.pid for runner in known if runner.id == victim.id}
        for process in self.running():
            if process.runner_id == victim.id:
                process.kill()
        self.runners.append(self.world.runner(*self.chance.choice(self.DEVICES)))

    def studies(self) -> list[StudyOut]:
        return view.page(self.world.database, limit=100)

    def cancel_a_job(self) -> None:
        jobs = [each for each in self.studies() if not each.state.is_terminal]
        if jobs:
            service.cancel(self.world.database, self.chance.choice(jobs).id)

    def end_a_process(self) -> None:
        if self.running():
            status = self.chance.choice([-signal.SIGKILL, 1, EXIT_AGAIN])
            self.chance.choice(self.running()).end(status)

    def finish_a_process(self) -> None:
        if self.running():
            self.finish(self.chance.choice(self.running()))

    def strike(self) -> None:
        self.chance.choice(self.runners).step()
        self.world.now_s += self.chance.choice([0.0, 0.5, 6.0])
        nothing = lambda: None  # noqa: E731
        happens = [self.kill_a_runner, self.cancel_a_job, self.end_a_process, self.finish_a_process]
        self.chance.choices([*happens, nothing], [8, 6, 10, 36, 40])[0]()

    def calm_down(self) -> None:
        """From now on nobody dies, and every process finishes."""
        while any(not each.state.is_terminal for each in self.studies()):
            assert self.world.now_s < 10_000, "a job never ends"
            for runner in self.runners:
                runner.step()
            for process in self.running():
                self.finish(process)
            self.world.now_s += 6


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_no_device_is_shared_and_every_job_ends(world, seed, monkeypatch):
    """Runners are killed and replaced, processes finish and die, jobs are cancelled. That no two
    processes are on one device at once is checked whenever one is started."""
    chaos = Chaos(world, seed)
    pids, here = itertools.count(50_000), this_process().host
    monkeypatch.setattr("app.jobs.executor.this_process", lambda: Owner(next(pids), here, 1.0))
    monkeypatch.setattr(Owner, "is_alive", lambda self: self.pid not in chaos.dead)
    monkeypatch.setattr(queue, "ELSEWHERE_AFTER", timedelta(0))
    devices = [None, "cpu", "cuda:0", "cuda:1"]
    asked = [world.submit(trials=n, device=chaos.chance.choice(devices)) for n in range(1, 9)]
    for _ in range(120):
        chaos.strike()
    chaos.calm_down()
    for job in asked:
        ended = service.get(world.database, job.id)
        assert ended.state.is_terminal
        assert (ended.lease, ended.runner_id) == (None, None)
        ids = [event.id for event in events.read(world.database, job.id)]
        assert ids == list(range(1, len(ids) + 1))
