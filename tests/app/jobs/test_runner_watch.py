"""The service sees to it that somebody runs what was asked for."""

from __future__ import annotations

import threading

import httpx
import pytest

from app.http.runtime import Service
from app.jobs import keeper as keeper_module
from app.jobs.keeper import RunnerWatch
from app.settings import load_settings

TIMEOUT_S = 30


class Keeper:
    """Notes each look; every other one fails."""

    def __init__(self) -> None:
        self.looks = threading.Semaphore(0)
        self.count = 0

    def ensure(self) -> bool:
        self.count += 1
        self.looks.release()
        if self.count % 2:
            raise RuntimeError("the database is away")
        return False


@pytest.fixture
def keeper(monkeypatch):
    monkeypatch.setattr(keeper_module, "LOOK_EVERY_S", 3600.0)
    return Keeper()


def test_it_looks_when_it_starts_and_whenever_it_is_woken_whatever_fails(keeper):
    watch = RunnerWatch(keeper)
    watch.start()
    for _ in range(4):
        assert keeper.looks.acquire(timeout=TIMEOUT_S)
        watch.wake()
    watch.stop()
    assert keeper.count >= 4
    assert not [each for each in threading.enumerate() if each.name == "runner-watch"]


def test_it_looks_again_by_itself(keeper, monkeypatch):
    monkeypatch.setattr(keeper_module, "LOOK_EVERY_S", 0.01)
    watch = RunnerWatch(keeper)
    watch.start()
    assert all(keeper.looks.acquire(timeout=TIMEOUT_S) for _ in range(3))
    watch.stop()


def test_a_study_that_is_started_wakes_it(database, keeper, start_service):
    watch = RunnerWatch(keeper)
    url = start_service(Service(database, load_settings(), needs_keys=False, runners=watch))
    assert keeper.looks.acquire(timeout=TIMEOUT_S)
    assert httpx.post(f"{url}/v1/studies", json={"workload": "transformer"}).status_code == 202
    assert keeper.looks.acquire(timeout=TIMEOUT_S)
