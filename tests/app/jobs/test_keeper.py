"""``tonnage serve`` is enough by itself: a runner is there when there is work for one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.database import open_database
from app.jobs import queue, runner_repository
from app.jobs.keeper import LOG_FILE, RETRY_S, Keeper, is_held, lock_file, only_one, runner_command
from app.settings import load_settings
from app.studies import service
from app.tuning.owner import this_place, this_process
from tests.app.jobs.conftest import offers, request, until


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Started(Keeper):
    """Its runner is a command of the test's."""

    def __init__(self, database, code: str, clock: Clock, **runner: object) -> None:
        settings = load_settings(overrides={"runner": runner})
        super().__init__(database, settings, command=[sys.executable, "-c", code], clock=clock)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def ended(self) -> bool:
        return self.process.poll() is not None


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_work_there_is_no_runner(database, clock):
    keeper = Started(database, "", clock)
    assert not keeper.ensure()
    job = service.submit(database, request())
    service.cancel(database, job.id)
    assert not keeper.ensure()


def test_a_queued_job_is_reason_enough_for_one_and_not_for_two(database, clock):
    service.submit(database, request())
    keeper = Started(database, "import time; time.sleep(600)", clock)
    assert keeper.ensure()
    try:
        assert not keeper.ensure()
    finally:
        keeper.process.kill()
        keeper.process.wait()


def test_it_lives_in_a_session_of_its_own(database, clock):
    """So that neither Ctrl-C at the service nor its end is the runner's."""
    code = "import os, sys; sys.exit(os.getsid(0) != os.getpid())"
    service.submit(database, request())
    keeper = Started(database, code, clock)
    keeper.ensure()
    assert keeper.process.wait() == 0


def test_not_where_the_configuration_forbids_it(database, clock):
    service.submit(database, request())
    assert not Started(database, "", clock, with_service=False).ensure()


def test_not_while_a_runner_that_can_do_it_is_known(database, clock):
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
    service.submit(database, request())
    keeper = Started(database, "", clock)
    assert not keeper.ensure()
    service.submit(database, request(device="cuda:0"))
    assert keeper.ensure()
    keeper.process.wait()


def test_not_while_one_holds_the_lock_and_has_not_signed_on_yet(database, clock):
    service.submit(database, request())
    keeper = Started(database, "", clock)
    with only_one(lock_file(load_settings(), database)) as is_first:
        assert is_first
        assert not keeper.ensure()
    assert keeper.ensure()
    keeper.process.wait()


def test_a_job_whose_runner_was_killed_is_reason_enough(database, clock):
    with database.write() as session:
        gone = type(this_process())(2**22 - 1, this_process().host, 1.0)
        runner_repository.add(session, "run_1", gone, this_place(), offers("cpu"))
        runner = runner_repository.locked(session, "run_1")
    job = service.submit(database, request())
    with database.write() as session:
        assert queue.claim(session, runner) is not None
    keeper = Started(database, "", clock)
    assert keeper.ensure()
    keeper.process.wait()
    assert service.get(database, job.id).state == "interrupted"


def test_one_that_ends_at_once_is_told_of_and_not_started_all_the_time(database, clock):
    service.submit(database, request())
    keeper = Started(database, "import sys; sys.exit('There is no torch here.')", clock)
    assert keeper.ensure()
    until(keeper.ended)
    assert not keeper.ensure()
    assert "ended with status 1. There is no torch here." in keeper.problem
    clock.now_s = RETRY_S - 1
    assert not keeper.ensure()
    clock.now_s = RETRY_S
    assert keeper.ensure()
    keeper.process.wait()
    assert (load_settings().data_dir / LOG_FILE).read_text().count("no torch") == 2


def test_it_is_told_the_database_and_not_on_the_command_line(database, clock):
    code = "import os, sys; sys.exit(os.environ['TONNAGE_DATABASE_URL'] != " + repr(
        database.full_url
    )
    service.submit(database, request())
    keeper = Started(database, code + ")", clock)
    keeper.ensure()
    assert keeper.process.wait() == 0
    assert database.full_url not in " ".join(runner_command(load_settings()))


def test_the_runner_that_it_starts_holds_the_lock_that_it_looks_at(database):
    other = open_database(database.full_url, migrate=False)
    assert lock_file(load_settings(), other) == lock_file(load_settings(), database)
    other.close()


def test_the_lock_goes_with_its_process(tmp_path):
    path = tmp_path / "folder" / "runner.lock"
    assert not is_held(path)
    code = f"""
import sys
from pathlib import Path
from app.jobs.keeper import only_one
with only_one(Path({str(path)!r})) as is_first:
    print(is_first, flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    assert is_held(path)
    with only_one(path) as is_first:
        assert not is_first
    holder.kill()
    holder.communicate()
    assert not is_held(path)
