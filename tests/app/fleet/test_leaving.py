"""A node that is stopped leaves its fleet in order."""

from __future__ import annotations

import pytest

from app.fleet.leaving import leave
from app.fleet.nodes import Drain
from app.fleet.repository import listing
from app.studies import service
from tests.app.fleet.scripted import SETTINGS, ScriptedFleet
from tests.app.one_kind import kind  # noqa: F401


@pytest.fixture
def fleet(database, monkeypatch) -> ScriptedFleet:
    monkeypatch.setattr("app.fleet.fleet.is_sqlite", lambda url: False)
    return ScriptedFleet(database)


class Leaving:
    """The command on ``host``, while the fleet's runner goes on: each pause is a round of it."""

    def __init__(self, fleet: ScriptedFleet, runner, host: str = "one") -> None:
        self.fleet, self.runner, self.host = fleet, runner, host
        self.pauses = 0
        self.hurries_after = 1000

    def __call__(self, address: str = "127.0.0.1") -> None:
        leave(
            self.fleet.database,
            SETTINGS,
            self.host,
            address,
            hurry=lambda: self.pauses >= self.hurries_after,
            clock=lambda: self.fleet.now_s,
            pause=self._pause,
        )

    def _pause(self, _: float) -> None:
        self.pauses += 1
        for process in self.fleet.processes:
            if process.signals and process.status is None:
                process.end(143)
        self.fleet.rounds(self.runner, 1)


def _drains(database) -> dict[str, Drain]:
    with database.read() as session:
        return {node.name: node.drain for node in listing(session)}


def test_what_runs_there_goes_back_to_the_queue_and_no_death_is_counted(fleet, database):
    fleet.add("one")
    runner = fleet.runner()
    job = fleet.submit()
    fleet.rounds(runner)
    leaving = Leaving(fleet, runner)
    leaving()
    fleet.remove("one")
    fleet.rounds(runner)
    given = service.get(database, job.id)
    assert (given.state, given.deaths) == ("queued", 0)
    assert leaving.pauses < 5


def test_an_idle_node_leaves_within_a_few_rounds_and_others_stay(fleet, database):
    fleet.add("one")
    fleet.add("two")
    runner = fleet.runner()
    fleet.rounds(runner)
    leaving = Leaving(fleet, runner)
    leaving()
    assert leaving.pauses < 5
    assert _drains(database) == {"one": Drain.NOW, "two": Drain.NO}


def test_a_second_signal_ends_the_wait(fleet, database):
    fleet.add("one")
    runner = fleet.runner()
    fleet.rounds(runner)
    leaving = Leaving(fleet, runner)
    leaving.hurries_after = 0
    leaving()
    assert leaving.pauses == 0


def test_it_does_not_wait_for_a_fleet_that_nobody_directs(fleet, database):
    leaving = Leaving(fleet, fleet.runner())
    leaving()
    assert leaving.pauses == 0


def test_it_waits_no_longer_than_the_jobs_have_to_end(fleet, database):
    fleet.add("one")
    runner = fleet.runner()
    fleet.submit()
    fleet.rounds(runner)
    leaving = Leaving(fleet, runner)

    def pause(_: float) -> None:
        leaving.pauses += 1
        fleet.now_s += 1.0

    leave(
        database,
        SETTINGS,
        "one",
        "127.0.0.1",
        hurry=lambda: False,
        clock=lambda: fleet.now_s,
        pause=pause,
    )
    assert leaving.pauses == 2 * SETTINGS.cancel_grace_s + 5


def test_a_node_at_another_address_of_the_host_is_left_alone(fleet, database):
    fleet.add("one")
    runner = fleet.runner()
    fleet.rounds(runner)
    Leaving(fleet, runner)(address="127.0.0.2")
    assert _drains(database) == {"one": Drain.NO}
