"""The wall clock is set an hour back or forth while studies run: nobody dies of it."""

from __future__ import annotations

import time

import pytest

from app.jobs import events, runner_repository
from app.jobs.deaths import HeartbeatMonitor
from app.studies import service, view
from tests.app import contents, factories
from tests.app.jobs.conftest import kinds, request, state
from tests.app.jobs.test_runner import World

HOUR_S = 3600.0


class WallClock:
    """``time.time``, wrong by as much as the test says. What only goes forward stays right."""

    def __init__(self) -> None:
        self.wrong_by_s = 0.0
        self._right = time.time

    def __call__(self) -> float:
        return self._right() + self.wrong_by_s


@pytest.fixture
def clock(monkeypatch):
    made = WallClock()
    monkeypatch.setattr(time, "time", made)
    monkeypatch.setattr(time, "time_ns", lambda: int(made() * 1e9))
    return made


@pytest.fixture(params=[-HOUR_S, HOUR_S], ids=["back", "forth"])
def jump(clock, request):
    """Sets the clock."""

    def jump() -> None:
        clock.wrong_by_s += request.param

    return jump


@pytest.fixture
def world(database):
    return World(database)


def test_a_running_study_keeps_its_runner_and_its_device(world, jump):
    job, runner, other = world.submit(), world.runner(), world.runner()
    runner.step()
    before = service.get(world.database, job.id)
    jump()
    for _ in range(3):  # three heartbeats
        world.now_s += 5
        runner.step()
        other.step()
    now = service.get(world.database, job.id)
    assert (now.state, now.runner_id, now.lease) == ("running", before.runner_id, before.lease)
    world.last.finish()
    runner.step()
    ended = service.get(world.database, job.id)
    assert (ended.state, ended.lease) == ("finished", None)
    assert ended.wall_s >= 0


def test_a_runner_of_another_host_is_not_taken_for_dead(world, jump, monkeypatch):
    world.runner().step()
    watch = HeartbeatMonitor(60, lambda: world.now_s)
    monkeypatch.setattr("app.jobs.deaths.this_place", lambda: "another host")
    for step in range(3):
        with world.database.write() as session:
            found = runner_repository.listing(session)
            runner_repository.beat(session, found[0].id)
            assert watch.silent(runner_repository.listing(session)) == []
        world.now_s += 40
        if step == 1:
            jump()


def test_an_interrupted_study_is_gone_on_with_at_once_on_its_device(world, jump):
    job, runner = world.submit(), world.runner()
    runner.step()
    world.last.end(-9)
    runner.step()
    assert state(world.database, job) == "interrupted"
    jump()
    world.now_s += 60
    runner.step()
    assert state(world.database, job) == "running"


def test_a_study_asked_for_after_the_jump_is_run_and_watched_in_order(world, jump):
    first = world.submit(trials=1)
    jump()
    second = world.submit(trials=2)
    runner = world.runner()
    for _ in (first, second):
        runner.step()
        world.last.finish()
        runner.step()
    for job in (first, second):
        assert kinds(world.database, job) == ["queued", "started", "finished"]
        numbers = [event.id for event in events.read(world.database, job.id)]
        assert numbers == [1, 2, 3]
    assert len(view.page(world.database, limit=10)) == 2


def test_ids_of_one_process_stay_in_order(database, clock):
    first = service.submit(database, request(trials=1))
    clock.wrong_by_s = -HOUR_S
    second = service.submit(database, request(trials=2))
    assert second.id > first.id


def test_cancelling_works_whatever_the_time(world, jump):
    job, runner = world.submit(), world.runner()
    runner.step()
    jump()
    service.cancel(world.database, job.id)
    runner.step()
    world.last.end(130)
    runner.step()
    assert state(world.database, job) == "cancelled"


def test_a_request_that_is_sent_again_after_the_jump_is_done_once(api, database, jump):
    post = {
        "scope": {"workload_hash": "a1", "fingerprint": "f1"},
        "measurement": factories.measurement().to_dict(),
    }
    header = {"Idempotency-Key": "build-17"}
    first = api.post("/v1/measurements", json=post, headers=header)
    jump()
    again = api.post("/v1/measurements", json=post, headers=header)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert len(contents.measurements(database)) == 1
