"""Which keys a service asks for is decided when it starts, by where it listens."""

from __future__ import annotations

import os

import pytest

from app.jobs import queue, runner_repository
from app.keys import service as keys
from app.service.listen import listen
from app.service.serve import left_running, service_on
from app.settings import load_settings
from app.studies import service as studies
from app.tuning.owner import Owner, this_place, this_process
from probes.errors import InputError
from tests.app.jobs.conftest import offers, request


@pytest.fixture
def decide(database):
    """Starts nothing: ``(asks for keys, counts requests)`` of a service on that address."""

    def decide(host: str, *, insecure: bool = False) -> tuple[bool, bool]:
        with listen(host, 0) as listener:
            service = service_on(listener, database, load_settings(), insecure=insecure)
        return service.needs_keys, service.is_limited

    return decide


def test_on_loopback_without_keys_everybody_here_may_do_everything(decide):
    assert decide("127.0.0.1") == (False, False)


def test_a_key_makes_it_ask_for_keys_there_too(decide, database):
    keys.create(database, "read")
    assert decide("127.0.0.1") == (True, True)


def test_revoking_the_last_key_opens_it_again_but_only_here(decide, database):
    key, _ = keys.create(database, "admin")
    keys.revoke(database, key.id)
    assert decide("127.0.0.1") == (False, False)
    with pytest.raises(InputError):
        decide("0.0.0.0")


def test_any_other_address_demands_a_key(decide, database):
    with pytest.raises(InputError, match="tonnage keys create --scope admin"):
        decide("0.0.0.0")
    keys.create(database, "read")
    assert decide("0.0.0.0") == (True, True)


def test_unless_somebody_says_so_in_so_many_words(decide, database):
    assert decide("0.0.0.0", insecure=True) == (False, True)
    keys.create(database, "read")
    assert decide("0.0.0.0", insecure=True) == (False, True)


def test_a_runner_is_seen_to_unless_that_is_turned_off(database, monkeypatch):
    with listen("127.0.0.1", 0) as listener:
        assert service_on(listener, database, load_settings(), insecure=False).runners is not None
        monkeypatch.setenv("TONNAGE_RUNNER__WITH_SERVICE", "false")
        assert service_on(listener, database, load_settings(), insecure=False).runners is None


def test_a_service_that_ends_says_which_study_its_runner_goes_on_with(database):
    job = studies.submit(database, request(), settings=load_settings())
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
        queue.claim(session, runner_repository.locked(session, "run_1"))
    (said,) = left_running(database, load_settings())
    for fact in (job.id, "transformer", "smoke_test", f"kill -TERM {os.getpid()}", "5 min"):
        assert fact in said


def test_an_idle_runner_is_named_too_and_one_of_another_host_is_not(database):
    with database.write() as session:
        runner_repository.add(session, "run_1", Owner(1, "there", 1.0), "there", offers("cpu"))
    assert left_running(database, load_settings()) == []
    with database.write() as session:
        runner_repository.add(session, "run_2", this_process(), this_place(), offers("cpu"))
    (said,) = left_running(database, load_settings())
    assert f"process {os.getpid()}" in said
    assert "without work" in said
