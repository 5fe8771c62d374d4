"""``tonnage tune --fleet … --devices-class``: one study per class of the fleet's devices."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.cli import run
from app.cli.fleet_answer import show
from app.cli.fleet_classes import wanted_classes
from app.cli.fleet_studies import FleetStudies, ServiceStudies
from app.cli.measuring import MeasuringOptions
from app.client import Client
from app.database.models.serving import JobRow
from app.errors import NotFound
from app.fleet.schemas import EXAMPLE_DEVICE, EXAMPLE_NODE, FleetOut
from app.fleet_answers.question import FleetQuestion
from app.jobs import queue
from app.settings import load_settings
from app.studies import service as jobs
from app.tuning import service as studies
from probes.errors import InputError
from tests.app import factories
from tests.app.cli.test_fleet_studies import fleet  # noqa: F401
from tests.app.fleet_answers.seeded import FAST, fill
from tests.app.jobs.conftest import offers, request
from tests.app.one_kind import kind  # noqa: F401

ASKED = ["tune", "transformer", "--fleet", "auto", "--budget", "smoke_test"]


def told(*nodes: tuple[str, str, list[tuple[str, str, int]]]) -> FleetOut:
    """Nodes by name and state, each with devices by class, kind and size."""
    found = []
    for name, state, devices in nodes:
        own = [
            {**EXAMPLE_DEVICE, "class_key": key, "kind": kind_, "name": key, "total_bytes": size}
            for key, kind_, size in devices
        ]
        found.append({**EXAMPLE_NODE, "name": name, "state": state, "devices": own})
    facts = {"is_run": True, "seen_at": None, "waiting": 0, "advice": "Do this."}
    return FleetOut.model_validate({**facts, "nodes": found})


FLEET = told(
    ("n1", "ready", [("h200", "cuda", 141), ("epyc", "cpu", 900)]),
    ("n2", "ready", [("h200", "cuda", 141), ("a10", "cuda", 24)]),
    ("n3", "drained", [("l4", "cuda", 24)]),
)


def test_the_classes_of_nodes_that_are_ready_the_largest_first():
    found = wanted_classes(FLEET, MeasuringOptions(), "all")
    assert [(each.class_key, each.nodes) for each in found] == [
        ("h200", ("n1", "n2")),
        ("a10", ("n2",)),
        ("epyc", ("n1",)),
    ]
    (one,) = wanted_classes(FLEET, MeasuringOptions(), "a10")
    assert one.class_key == "a10"


def test_each_memory_budget_is_a_class_here_too():
    found = wanted_classes(FLEET, MeasuringOptions(memory_budget="2GiB,1GiB"), "a10")
    asked = [each.asked(request(pinned={})) for each in found]
    assert [(each.device, each.memory_budget_bytes) for each in asked] == [
        ("a10", 2 * 2**30),
        ("a10", 2**30),
    ]


def test_code_that_is_sent_is_searched_on_nodes_that_accept_it():
    nodes = [each.model_copy(update={"accepts_bundles": each.name == "n2"}) for each in FLEET.nodes]
    mixed = FLEET.model_copy(update={"nodes": nodes})
    found = wanted_classes(mixed, MeasuringOptions(), "all", is_sent=True)
    assert [(each.class_key, each.nodes) for each in found] == [("h200", ("n2",)), ("a10", ("n2",))]
    with pytest.raises(InputError, match="--accept-bundles"):
        wanted_classes(FLEET, MeasuringOptions(), "all", is_sent=True)


def test_what_is_not_there_is_refused():
    with pytest.raises(InputError, match="h200"):
        wanted_classes(FLEET, MeasuringOptions(), "l4")
    with pytest.raises(InputError, match="Do this"):
        wanted_classes(told(), MeasuringOptions(), "all")
    with pytest.raises(InputError, match="--device"):
        wanted_classes(FLEET, MeasuringOptions(device="cpu"), "all")


@pytest.fixture
def two_classes(fleet):  # noqa: F811
    for host in ("one", "two"):
        described = offers(host=host)
        devices = tuple(replace(each, class_key=f"class-{host}") for each in described.devices)
        fleet.add(f"{host}-b", offers=replace(described, devices=devices))
    fleet.wait()
    return fleet


def recommends(database, *, but: str = ""):
    """Ends a job's process with a recommendation of its class; ``but``: with none."""

    def end(process) -> None:
        job = jobs.get(database, process.job_id)
        if job.device == but:
            process.end(1)
            return
        spec = factories.spec("smoke_test", workload="transformer", fingerprint=f"{job.device}f")
        study, _ = studies.open_study(database, spec, new_id=job.id)
        with database.write() as session:
            row = session.get_one(JobRow, job.id)
            queue.opened(session, job.id, row.runner_id, study.id, 1, attempt=row.attempt)
        made = factories.recommendation(job.id.replace("st_", "rec_"), workload="transformer")
        studies.finish(database, study.id, made)
        process.finish()

    return end


def test_all_classes_are_searched_and_compared(two_classes, database, database_url, capsys):
    two_classes.ending = recommends(database)
    asked = [*ASKED, "--devices-class", "all", "--json", "--database", database_url]
    assert run(asked) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert len(document["recommendations"]) == 3
    assert document["not_measured"] == []
    with database.read() as session:
        wanted = {row.device for row in session.query(JobRow)}
    assert wanted == {"class", "class-one", "class-two"}


def test_a_class_that_fails_keeps_no_other_from_being_searched(
    two_classes, database, database_url, capsys, monkeypatch
):
    monkeypatch.setattr("app.jobs.runner.AGAIN_AFTER_S", 0.0)
    two_classes.ending = recommends(database, but="class-two")
    asked = [*ASKED, "--devices-class", "all", "--json", "--database", database_url]
    assert run(asked) == 3
    document = json.loads(capsys.readouterr().out)
    assert len(document["recommendations"]) == 2
    (failed,) = document["not_measured"]
    assert "two-b" in failed


def test_the_answer_is_the_same_from_the_database_and_from_a_service(database, api, capsys):
    ids = fill(database)
    question = FleetQuestion("train.py:Net")
    own = FleetStudies(load_settings(), database).choose(question)
    with Client(str(api.base_url)) as client:
        asked = ServiceStudies(client).choose(question)
        assert ServiceStudies(client).fleet().nodes == []
        with pytest.raises(NotFound):
            ServiceStudies(client).choose(FleetQuestion("transformer"))
    assert own["chosen"] == asked["chosen"]
    assert asked["fastest"] == ids[FAST]
    show(own)
    first = capsys.readouterr().out
    show(asked)
    assert capsys.readouterr().out == first
