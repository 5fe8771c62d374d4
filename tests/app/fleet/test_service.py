"""The fleet as people and programs see it: service, API, page, doctor, commands."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from app.cli import run
from app.clock import utc_now
from app.database.models.serving import FleetNodeRow
from app.errors import NotFound
from app.fleet import repository as nodes
from app.fleet import service as fleets
from app.fleet.doctor import Level, examine, is_well
from app.fleet.engine import FleetUnavailable
from app.fleet.nodes import Drain, SeenNode
from app.studies import service
from probes.errors import InputError
from tests.app.fleet.scripted import ScriptedFleet
from tests.app.jobs.conftest import request
from tests.app.one_kind import kind  # noqa: F401


@pytest.fixture
def fleet(database, monkeypatch) -> ScriptedFleet:
    """Two nodes of which one runs a study, and a third that cannot be used."""
    monkeypatch.setattr("app.fleet.fleet.is_sqlite", lambda url: False)
    made = ScriptedFleet(database)
    made.add("one", {"rack": "1"})
    made.add("two", {"rack": "2"}, devices=("cuda:0", "cuda:1"))
    made.add("old", versions={"tonnage": "0.0.1", "torch": "2.6.0"})
    runner = made.runner()
    service.submit(database, request(device="rack=1"))
    made.rounds(runner)
    return made


def test_without_a_fleet_it_says_how_to_have_one(database):
    found = fleets.look(database)
    assert (found.nodes, found.is_run) == ([], False)
    assert "tonnage fleet join" in found.advice


def test_nodes_with_their_devices_and_what_runs_on_them(fleet, database):
    found = {view.node.name: view for view in fleets.look(database).nodes}
    assert [job.workload for job in found["one"].running] == ["transformer"]
    assert [each.offer.device for each in found["two"].devices] == ["cuda:0", "cuda:1"]
    assert found["two"].running == []
    assert [text.split(" (")[0] for text in found["old"].differs] == [
        "tonnage 0.0.1",
        "torch 2.6.0",
    ]


def test_a_fleet_that_nobody_directs_any_more_is_told_from_one_that_works(fleet, database):
    assert fleets.look(database).is_run
    assert fleets.look(database).advice == ""
    with database.write() as session:
        for row in session.query(FleetNodeRow):
            row.seen_at = utc_now() - timedelta(minutes=5)
    found = fleets.look(database)
    assert not found.is_run
    assert "tonnage serve --fleet" in found.advice


def test_a_node_is_found_by_name_or_the_beginning_of_its_id(fleet, database):
    assert fleets.drain(database, "one", Drain.FINISH).name == "one"
    assert fleets.drain(database, "id-of-t", Drain.NOW).drain is Drain.NOW
    with pytest.raises(NotFound, match="one, two"):
        fleets.drain(database, "none", Drain.FINISH)
    with pytest.raises(InputError, match="Several"):
        fleets.drain(database, "id-of", Drain.FINISH)


def test_the_api_gives_it(fleet, database, api):
    found = api.get("/v1/fleet").json()
    by_name = {node["name"]: node for node in found["nodes"]}
    assert (found["is_run"], found["waiting"], found["advice"]) == (True, 0, "")
    assert by_name["one"]["devices"][0]["workload"] == "transformer"
    assert by_name["one"]["labels"] == {"rack": "1"}
    assert by_name["old"]["state"] == "unusable"
    assert "0.0.1" in by_name["old"]["reason"]


def test_a_node_is_drained_over_the_api(fleet, database, api):
    answer = api.post("/v1/fleet/nodes/two/drain", json={"drain": "finish"})
    assert (answer.status_code, answer.json()["drain"]) == (202, "finish")
    assert [each["device"] for each in answer.json()["devices"]] == ["cuda:0", "cuda:1"]
    assert api.post("/v1/fleet/nodes/two/drain", json={"drain": ""}).json()["drain"] == ""
    assert api.post("/v1/fleet/nodes/none/drain", json={"drain": "now"}).status_code == 404
    assert api.post("/v1/fleet/nodes/two/drain", json={"drain": "soon"}).status_code == 422


def test_the_page_shows_it_or_says_what_to_do(database, api, monkeypatch):
    assert "tonnage fleet join --head" in api.get("/fleet").text
    monkeypatch.setattr("app.fleet.fleet.is_sqlite", lambda url: False)
    made = ScriptedFleet(database)
    made.add("<one>", {"rack": "1"})
    made.rounds(made.runner())
    page = api.get("/fleet/now").text
    assert "&lt;one&gt;" in page
    assert "rack = 1" in page
    assert "no fleet" not in page


class TestDoctor:
    def test_what_is_wrong_is_a_failure_and_what_is_odd_a_note(self, fleet, database):
        found = examine(database, lambda: list(fleet.there.values()))
        levels = {(each.what, each.level) for each in found}
        assert not is_well(found)
        assert {("old", Level.FAIL), ("one", Level.OK), ("ray", Level.OK)} <= levels
        assert ("old", Level.NOTE) in levels  # its versions

    def test_an_engine_that_does_not_answer_is_told_with_its_reason(self, database):
        def reach() -> list[SeenNode]:
            raise FleetUnavailable("The fleet does not answer.")

        found = {each.what: each for each in examine(database, reach)}
        assert found["ray"].level is Level.FAIL
        assert found["ray"].text == "The fleet does not answer."
        assert found["runner"].level is Level.FAIL

    def test_a_node_that_nobody_has_taken_up(self, fleet, database):
        fleet.there["new"] = SeenNode("new", "three", "10.0.0.3")
        found = examine(database, lambda: list(fleet.there.values()))
        assert any("three" in each.text for each in found if each.what == "ray")


class TestCommands:
    """Exit statuses and the one JSON document."""

    def test_status_and_devices_of_no_fleet(self, database, database_url, capsys):
        assert run(["fleet", "status", "--json", "--database", database_url]) == 1
        assert json.loads(capsys.readouterr().out)["nodes"] == []
        assert run(["fleet", "devices", "--json", "--database", database_url]) == 1
        assert json.loads(capsys.readouterr().out) == {"devices": []}

    def test_status_and_devices_of_a_fleet(self, fleet, database_url, capsys):
        assert run(["fleet", "status", "--json", "--database", database_url]) == 0
        assert {each["name"] for each in json.loads(capsys.readouterr().out)["nodes"]} == {
            "one",
            "two",
            "old",
        }
        assert run(["fleet", "devices", "--json", "--database", database_url]) == 0
        assert len(json.loads(capsys.readouterr().out)["devices"]) == 3
        assert run(["fleet", "status", "--database", database_url]) == 0
        assert "unusable" in capsys.readouterr().out

    def test_drain(self, fleet, database, database_url, capsys):
        assert run(["fleet", "drain", "two", "--now", "--json", "--database", database_url]) == 0
        assert json.loads(capsys.readouterr().out)["drain"] == "now"
        with database.read() as session:
            assert nodes.drains(session)["id-of-two"] is Drain.NOW
        assert run(["fleet", "drain", "none", "--database", database_url]) == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            ["fleet", "join"],
            ["fleet", "join", "10.0.0.5", "--head"],
            ["fleet", "join", "10.0.0.5", "--token-file", "/none"],
            ["fleet", "join", "10.0.0.5"],
            ["fleet", "join", "127.0.0.1:6379"],
            ["serve", "--token-file", "/none"],
            ["runner", "--fleet", "10.0.0.5", "--device", "cpu"],
            ["tune", "transformer", "--fleet", "auto"],
            ["tune", "transformer", "--fleet", "auto", "--python", "/usr/bin/python3"],
        ],
    )
    def test_what_makes_no_sense_is_refused_before_anything_is_started(self, arguments):
        assert run(arguments) == 2
