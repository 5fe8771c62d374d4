"""What the runner of a fleet does, round by round, with nodes that are a script."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event

from app.clock import utc_now
from app.database.models.serving import JobRow
from app.fleet import repository as nodes
from app.fleet import service as fleets
from app.fleet.engine import FleetUnavailable, NodeLost
from app.fleet.fleet import REST_S
from app.fleet.nodes import Drain
from app.jobs import runner_repository
from app.studies import service
from app.tuning.owner import this_place
from tests.app.fleet.scripted import ScriptedFleet
from tests.app.jobs.conftest import kinds, state


@pytest.fixture
def fleet(database, monkeypatch) -> ScriptedFleet:
    """Its hosts can all reach the database, whatever that is."""
    monkeypatch.setattr("app.fleet.fleet.is_sqlite", lambda url: False)
    return ScriptedFleet(database)


def states(database) -> dict[str, str]:
    with database.read() as session:
        return {node.name: str(node.state) for node in nodes.listing(session)}


def node_of(database, job) -> str:
    """The node that has the job."""
    with database.read() as session:
        runners = {each.id: each.node for each in runner_repository.listing(session)}
        return runners[session.get_one(JobRow, job.id).runner_id]


class TestNodes:
    def test_a_node_joins_says_what_it_offers_and_is_ready(self, fleet, database):
        fleet.add("one", {"rack": "3"})
        runner = fleet.runner()
        runner.step()
        assert states(database) == {"one": "joining"}
        fleet.rounds(runner)
        assert states(database) == {"one": "ready"}
        with database.read() as session:
            (record,) = runner_repository.listing(session)
        assert (record.node, record.owner.host, record.place) == ("one", "one", "place of one")
        assert record.held_by is not None
        assert record.offers.devices[0].labels == {"rack": "3"}

    def test_one_that_takes_long_keeps_nobody_waiting(self, fleet, database):
        fleet.add("slow")
        fleet.answers["slow"] = None
        fleet.add("quick")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        assert states(database) == {"quick": "ready", "slow": "joining"}
        assert node_of(database, job) == "quick"

    def test_one_that_cannot_be_used_says_why(self, fleet, database):
        fleet.add("empty", offers=None, problem="There is no torch.")
        fleet.add("old", versions={"tonnage": "0.0.1"})
        runner = fleet.runner()
        fleet.rounds(runner)
        assert states(database) == {"empty": "unusable", "old": "unusable"}
        with database.read() as session:
            reasons = {node.name: node.reason for node in nodes.listing(session)}
        assert reasons["empty"] == "There is no torch."
        assert "0.0.1" in reasons["old"]
        assert runner.runners == []

    def test_a_database_that_is_a_file_is_no_use_to_other_hosts(self, fleet, database, monkeypatch):
        monkeypatch.setattr("app.fleet.fleet.is_sqlite", lambda url: True)
        fleet.add("here", place=this_place())
        fleet.add("there")
        fleet.rounds(fleet.runner())
        assert states(database) == {"here": "ready", "there": "unusable"}

    def test_two_nodes_of_one_host_have_names_of_their_own(self, fleet, database):
        fleet.add("twin")
        first = fleet.there["id-of-twin"]
        fleet.there["other-id"] = type(first)("other-id", "twin", first.address, {})
        fleet.rounds(fleet.runner())
        assert len(states(database)) == 2

    def test_one_that_fails_to_answer_is_asked_again_after_a_rest(self, fleet, database):
        fleet.add("one")
        good = fleet.answers["one"]
        fleet.answers["one"] = NodeLost("It broke.")
        runner = fleet.runner()
        fleet.rounds(runner, 3)
        assert fleet.opened == ["one"]
        fleet.answers["one"] = good
        fleet.now_s += REST_S
        fleet.rounds(runner, 3)
        assert (fleet.opened, states(database)) == (["one", "one"], {"one": "ready"})

    def test_the_next_runner_of_the_fleet_takes_over_what_is_known(self, fleet, database):
        fleet.add("stays")
        fleet.add("goes")
        fleet.rounds(fleet.runner())
        fleets.drain(database, "stays", Drain.FINISH)
        fleet.remove("goes")
        fleet.rounds(fleet.runner())
        assert states(database) == {"stays": "drained", "goes": "gone"}

    def test_a_silent_head_ends_the_runner_and_gives_jobs_back(self, fleet, database):
        fleet.add("one")
        job = fleet.submit()
        runner = fleet.runner()
        fleet.rounds(runner)
        assert state(database, job) == "running"
        fleet.is_silent = True
        fleet.processes[0].send_signal = lambda sig: fleet.processes[0].end(143)
        with pytest.raises(FleetUnavailable):
            runner.run()
        assert fleet.is_closed
        assert (state(database, job), service.get(database, job.id).deaths) == ("queued", 0)
        with database.read() as session:
            assert runner_repository.listing(session) == []


class TestPlacing:
    def test_a_job_goes_to_the_node_with_the_label(self, fleet, database):
        for rack in ("1", "2", "3"):
            fleet.add(f"node{rack}", {"rack": rack})
        runner = fleet.runner()
        job = fleet.submit(device="rack=2")
        fleet.rounds(runner)
        assert node_of(database, job) == "node2"

    def test_a_job_waits_while_its_device_is_busy_and_others_do_not(self, fleet, database):
        fleet.add("one", {"rack": "1"})
        fleet.add("two", {"rack": "2"})
        runner = fleet.runner()
        first, second, third = (
            fleet.submit(trials=1, device="rack=1"),
            fleet.submit(trials=2, device="rack=1"),
            fleet.submit(trials=3, device="cpu"),
        )
        fleet.rounds(runner)
        found = [state(database, job) for job in (first, second, third)]
        assert found == ["running", "queued", "running"]
        fleet.processes[0].finish()
        fleet.rounds(runner)
        assert state(database, second) == "running"

    def test_one_job_goes_to_one_of_many_free_nodes(self, fleet, database):
        for number in range(10):
            fleet.add(f"node{number}")
        runner = fleet.runner()
        fleet.rounds(runner)
        job = fleet.submit()
        fleet.rounds(runner, 1)
        assert state(database, job) == "running"
        assert len(fleet.processes) == 1

    def test_a_cancelled_job_ends_on_its_node(self, fleet, database):
        fleet.add("one")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        service.cancel(database, job.id)
        fleet.rounds(runner, 1)
        assert fleet.processes[0].signals == [2]
        fleet.processes[0].end(130)
        fleet.rounds(runner, 1)
        assert state(database, job) == "cancelled"


class TestLosing:
    def test_a_dead_nodes_job_goes_on_at_once_on_a_device_of_the_class(self, fleet, database):
        fleet.add("one")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        fleet.add("two")
        fleet.rounds(runner)
        fleet.remove("one")
        fleet.rounds(runner)
        assert (node_of(database, job), state(database, job)) == ("two", "running")
        assert kinds(database, job) == ["queued", "started", "interrupted", "started"]
        assert service.get(database, job.id).deaths == 1
        assert states(database)["one"] == "gone"

    def test_a_device_of_another_class_waits_its_time(self, fleet, database):
        fleet.add("one")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        fleet.add("big")
        described = fleet.answers["big"]
        offered = described.offers
        other = [type(each)(**{**vars(each), "class_key": "other"}) for each in offered.devices]
        fleet.add("big", offers=type(offered)(offered.workloads, tuple(other)))
        fleet.rounds(runner)
        fleet.remove("one")
        fleet.rounds(runner)
        assert state(database, job) == "interrupted"
        with database.write() as session:
            session.get_one(JobRow, job.id).elsewhere_at = utc_now() - timedelta(seconds=1)
        fleet.rounds(runner)
        assert node_of(database, job) == "big"

    def test_our_process_ends_on_a_node_that_lives(self, fleet, database):
        node_id = fleet.add("one")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        fleet.ended = {node_id}
        fleet.rounds(runner, 1)
        assert (states(database), state(database, job)) == ({"one": "joining"}, "interrupted")
        fleet.now_s += REST_S
        fleet.rounds(runner)
        assert (states(database), state(database, job)) == ({"one": "ready"}, "running")
        assert len(fleet.opened) == 2

    def test_a_process_that_is_seen_to_end_with_its_node_is_no_death_of_its_own(
        self, fleet, database
    ):
        """That the process has ended may be known before it is known that the node has."""
        fleet.add("one")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        fleet.add("two")
        fleet.rounds(runner)
        fleet.executors["one"].has_lost = True
        fleet.processes[0].kill()
        fleet.rounds(runner)
        assert (node_of(database, job), state(database, job)) == ("two", "running")
        assert service.get(database, job.id).deaths == 1

    def test_a_runner_of_the_fleet_that_was_killed_is_buried_by_the_next(
        self, fleet, database, monkeypatch
    ):
        fleet.add("one")
        job = fleet.submit()
        fleet.rounds(fleet.runner())
        assert state(database, job) == "running"
        with database.write() as session:  # its process number now belongs to nobody
            (record,) = runner_repository.listing(session)
            row = session.get_one(runner_repository.RunnerRow, record.id)
            held = row.document["held_by"]
            dead = {**held, "owner": {**held["owner"], "started_s": 0.5}}
            row.document = {**row.document, "held_by": dead}
        fleet.processes[0].kill()
        other = fleet.runner()
        fleet.rounds(other, 8)
        assert state(database, job) == "running"
        assert service.get(database, job.id).deaths == 1


class TestDraining:
    def test_it_finishes_what_it_has_and_takes_nothing_new(self, fleet, database):
        fleet.add("one")
        runner = fleet.runner()
        first = fleet.submit(trials=1)
        fleet.rounds(runner)
        fleets.drain(database, "one", Drain.FINISH)
        second = fleet.submit(trials=2)
        fleet.rounds(runner)
        assert states(database) == {"one": "draining"}
        fleet.processes[0].finish()
        fleet.rounds(runner)
        assert (state(database, first), state(database, second)) == ("finished", "queued")
        assert states(database) == {"one": "drained"}
        assert fleet.executors["one"].is_closed

    def test_now_gives_back_what_it_has(self, fleet, database):
        fleet.add("one")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        fleets.drain(database, "one", Drain.NOW)
        fleet.rounds(runner, 2)
        assert fleet.processes[0].signals == [15]
        fleet.processes[0].end(143)
        fleet.rounds(runner, 2)
        given = service.get(database, job.id)
        assert (given.state, given.deaths, states(database)) == ("queued", 0, {"one": "drained"})

    def test_what_it_gave_back_goes_on_at_once_on_another_of_the_class(self, fleet, database):
        fleet.add("one")
        runner = fleet.runner()
        job = fleet.submit()
        fleet.rounds(runner)
        fleet.add("two")
        fleet.rounds(runner)
        fleets.drain(database, "one", Drain.NOW)
        fleet.rounds(runner, 2)
        fleet.processes[0].end(143)
        fleet.rounds(runner, 2)
        assert (node_of(database, job), state(database, job)) == ("two", "running")

    def test_undone_it_takes_work_again(self, fleet, database):
        fleet.add("one")
        runner = fleet.runner()
        fleet.rounds(runner)
        fleets.drain(database, "one", Drain.FINISH)
        fleet.rounds(runner)
        assert states(database) == {"one": "drained"}
        fleets.drain(database, "id-of", Drain.NO)
        job = fleet.submit()
        fleet.rounds(runner)
        assert (states(database), state(database, job)) == ({"one": "ready"}, "running")


class TestCost:
    def test_while_nothing_waits_a_round_costs_one_query_however_many_nodes(self, fleet, database):
        for number in range(30):
            fleet.add(f"node{number}")
        runner = fleet.runner()
        fleet.rounds(runner)
        fleet.now_s += 10.0
        runner.step()  # beats and looks
        statements: list[str] = []
        listen = statements_of(database, statements)
        fleet.now_s += 0.5
        runner.step()
        listen()
        assert len(statements) == 1
        assert "tonnage_jobs" in statements[0]


def statements_of(database, into: list[str]):
    """Records what is asked of the database; returns what ends that."""

    def note(_connection, _cursor, statement, *_rest) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "INSERT", "DELETE")):
            into.append(statement)

    engine = database.engine
    event.listen(engine, "before_cursor_execute", note)
    return lambda: event.remove(engine, "before_cursor_execute", note)
