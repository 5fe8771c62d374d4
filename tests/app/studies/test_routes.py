"""``/v1/studies``: started, watched, cancelled, deleted."""

from __future__ import annotations

import asyncio
import sys
import threading

import httpx
import pytest

from app.database.errors import DatabaseUnavailable
from app.jobs import queue
from app.jobs import repository as jobs
from app.studies import service as jobs_service
from app.studies import stream as stream_module
from app.studies.stream import stream
from app.tuning import service as studies
from app.tuning.request import StudyRequest
from app.tuning.state import StudyState
from app.tuning.store import SqlStudyStore
from tests.app import factories
from tests.app.jobs.conftest import add_event
from tests.app.serving import problem

BODY = {"workload": "transformer", "budget": "smoke_test"}


def start(api: httpx.Client, **changes) -> dict:
    answer = api.post("/v1/studies", json=BODY | changes)
    assert answer.status_code == 202, answer.text
    document: dict = answer.json()
    return document


def run(database, study_id: str) -> None:
    """As a runner would, as far as states go."""
    with database.write() as session:
        row = jobs.locked(session, study_id)
        assert row is not None
        row.state = StudyState.RUNNING
        jobs.add_event(session, row, "started", {"device": "cpu"})


def end(database, study_id: str, state: str = "finished") -> None:
    with database.write() as session:
        row = jobs.locked(session, study_id)
        assert row is not None
        queue.close(session, row, StudyState(state), "It is over.")


def test_it_is_queued_and_says_where_to_watch_it(api):
    answer = api.post("/v1/studies", json=BODY)
    assert answer.status_code == 202
    study = answer.json()
    assert study["state"] == "queued"
    assert answer.headers["location"] == f"/v1/studies/{study['id']}"
    read = api.get(answer.headers["location"]).json()
    assert read["request"]["workload"] == "transformer"
    assert "tonnage runner" in read["message"]  # nobody is there to run it


@pytest.mark.parametrize(
    "workload",
    [
        "train.py:Net",
        "/srv/train.py:Net",
        "../../train.py",
        "os:system",
        "probes.workloads.visnet:ViSNet",
        "antigravity",
        "transformer\n",
    ],
)
def test_a_path_or_module_is_refused_and_never_imported(api, workload):
    answer = api.post("/v1/studies", json={"workload": workload})
    document = problem(answer, 403, "workload-not-registered")
    assert "registered" in document["detail"]
    assert "antigravity" not in sys.modules
    assert api.get("/v1/studies").json()["items"] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": "luch"}, "budget"),
        ({"trials": 0}, "at least 1"),
        ({"time_scale": 0}, "greater than 0"),
        ({"memory_budget_bytes": 1}, "at least 1048576"),
        ({"device": "  "}, "device"),
        ({"pinned": {"a": [1]}}, "pinned"),
    ],
)
def test_a_question_that_makes_no_sense(api, changes, said):
    document = problem(api.post("/v1/studies", json=BODY | changes), 422, "invalid-request")
    assert said in document["detail"] or said in str(document["errors"])


def test_an_option_that_names_a_file_of_the_host_is_refused(api):
    answer = api.post("/v1/studies", json=BODY | {"options": {"data": "/etc/passwd"}})
    document = problem(answer, 403, "option-not-allowed")
    assert "request_options" in document["detail"]


def test_the_same_question_while_it_waits_is_the_same_study(api):
    assert start(api)["id"] == start(api)["id"]
    assert start(api, trials=3)["id"] != start(api)["id"]


def test_a_request_takes_what_tune_takes(api):
    asked = {
        "sampler": "tpe",
        "objective": "pareto",
        "levers": ["precision"],
        "effective_batch_size": 64,
        "timeout_s": 30.0,
    }

    kept = start(api, **asked)["request"]

    assert {name: kept[name] for name in asked} == asked


def test_a_key_stands_for_its_study_even_when_that_is_over(api, database):
    header = {"Idempotency-Key": "build:17"}
    first = api.post("/v1/studies", json=BODY, headers=header).json()
    end(database, first["id"])
    assert api.post("/v1/studies", json=BODY, headers=header).json()["id"] == first["id"]
    other = api.post("/v1/studies", json=BODY | {"trials": 3}, headers=header)
    assert "'build:17'" in problem(other, 409, "idempotency-conflict")["detail"]
    assert start(api)["id"] != first["id"]


def test_a_waiting_study_is_cancelled_at_once_and_again_changes_nothing(api):
    study = start(api)
    for _ in range(2):
        answer = api.post(f"/v1/studies/{study['id']}/cancel")
        assert answer.status_code == 202
        assert answer.json()["state"] == "cancelled"


def test_a_running_study_is_asked_to_end(api, database):
    study = start(api)
    run(database, study["id"])
    cancelled = api.post(f"/v1/studies/{study['id']}/cancel").json()
    assert (cancelled["state"], cancelled["cancel_requested"]) == ("running", True)


def test_what_is_over_cannot_be_cancelled(api, database):
    study = start(api)
    end(database, study["id"])
    problem(api.post(f"/v1/studies/{study['id']}/cancel"), 409, "conflict")


def test_deleting(api, database):
    study = start(api)
    path = f"/v1/studies/{study['id']}"
    problem(api.delete(path), 409, "conflict")
    api.post(f"{path}/cancel")
    answer = api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(api.get(path), 404, "not-found")
    problem(api.delete(path), 404, "not-found")


class TestOfTheCommandLine:
    @pytest.fixture
    def study_id(self, database):
        spec = factories.spec()
        study, _ = studies.open_study(database, spec)
        SqlStudyStore(database, study.id, spec).add_trial(factories.trial())
        studies.finish(database, study.id, factories.recommendation(), wall_s=3.0)
        return study.id

    def test_is_listed_among_the_others(self, api, study_id):
        queued = start(api)["id"]
        listed = api.get("/v1/studies").json()["items"]
        assert [(each["id"], each["state"]) for each in listed] == [
            (queued, "queued"),
            (study_id, "finished"),
        ]

    def test_says_what_it_ended_in(self, api, study_id):
        study = api.get(f"/v1/studies/{study_id}").json()
        assert study["recommendation_id"] == "rec_1"
        assert (study["request"], study["fingerprint"]) == (None, "f" * 16)
        assert api.get(f"/v1/recommendations/{study['recommendation_id']}").status_code == 200

    def test_shows_its_trials(self, api, study_id):
        (trial,) = api.get(f"/v1/studies/{study_id}/trials").json()
        assert trial["reason"] == "Batch 8 fits."

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"state": "finished"}, True),
            ({"state": "queued"}, False),
            ({"budget": "smoke_test"}, True),
            ({"budget": "prototyping"}, False),
            ({"workload": "train.py:Net"}, True),
            ({"workload": "transformer"}, False),
        ],
    )
    def test_filters(self, api, study_id, query, found):
        ids = [each["id"] for each in api.get("/v1/studies", params=query).json()["items"]]
        assert (study_id in ids) is found

    def test_has_no_events(self, api, study_id):
        problem(api.get(f"/v1/studies/{study_id}/events"), 404, "not-found")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "queued"}, True),
        ({"state": "running"}, False),
        ({"budget": "smoke_test"}, True),
        ({"budget": "production"}, False),
        ({"workload": "transformer"}, True),
        ({"workload": "visnet"}, False),
    ],
)
def test_filters_of_queued_ones(api, query, found):
    start(api)
    assert bool(api.get("/v1/studies", params=query).json()["items"]) is found


class TestEvents:
    def test_what_has_happened_then_what_happens_until_it_is_over(self, api, database):
        study_id = start(api)["id"]
        run(database, study_id)
        with api.stream("GET", f"/v1/studies/{study_id}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            seen = [next(line for line in lines if line.startswith("event:")) for _ in range(2)]
            add_event(database, study_id, "note", {"text": "two\nlines"})
            assert any(line == "event: note" for line in lines)
            data = next(line for line in lines if line.startswith("data:"))
            threading.Thread(target=end, args=(database, study_id)).start()
            rest = list(lines)
        assert seen == ["event: queued", "event: started"]
        assert '"two\\nlines"' in data
        assert "event: finished" in rest
        assert [line for line in rest if line.startswith("id:")] == ["id: 3", "id: 4"]

    def test_it_goes_on_after_the_last_event_that_was_seen(self, api, database):
        study_id = start(api)["id"]
        run(database, study_id)
        end(database, study_id)
        answer = api.get(f"/v1/studies/{study_id}/events", headers={"Last-Event-ID": "1"})
        ids = [line for line in answer.text.splitlines() if line.startswith("id:")]
        assert ids == ["id: 2", "id: 3"]

    def test_who_has_seen_all_of_it_is_told_not_to_come_back(self, api, database):
        study_id = start(api)["id"]
        end(database, study_id)
        path = f"/v1/studies/{study_id}/events"
        answer = api.get(path, headers={"Last-Event-ID": "2"})
        assert (answer.status_code, answer.content) == (204, b"")

    def test_a_last_event_that_is_no_number(self, api):
        study_id = start(api)["id"]
        path = f"/v1/studies/{study_id}/events"
        answer = api.get(path, headers={"Last-Event-ID": "x"})
        problem(answer, 422, "invalid-request")

    def test_a_database_that_is_away_is_waited_for(self, database, monkeypatch):
        job = jobs_service.submit(database, StudyRequest(workload="transformer"))
        real, failures = stream_module._look, iter([True, True])

        def look(*arguments):
            if next(failures, False):
                raise DatabaseUnavailable("The server does not answer.")
            return real(*arguments)

        monkeypatch.setattr(stream_module, "_look", look)
        jobs_service.cancel(database, job.id)

        async def watch() -> list[str]:
            return [event.event async for event in stream(database, job.id, 0, 0.0)]

        assert asyncio.run(watch()) == ["queued", "cancelled"]

    def test_a_study_that_is_deleted_ends_its_stream(self, database):
        async def watch() -> list[object]:
            return [event async for event in stream(database, "st_gone", 0, 0.0)]

        assert asyncio.run(watch()) == []

    def test_a_service_that_ends_cuts_the_stream_and_another_goes_on(self, serve, database):
        first, second = httpx.Client(base_url=serve()), httpx.Client(base_url=serve())
        study_id = start(first)["id"]
        path = f"/v1/studies/{study_id}/events"
        with first.stream("GET", path) as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("id:")) == "id: 1"
        run(database, study_id)
        end(database, study_id)
        rest = second.get(path, headers={"Last-Event-ID": "1"}).text
        assert "event: finished" in rest
        assert "id: 1\n" not in rest
