"""Every error is answered with a problem document that says what to do."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.http.problem_types import TYPES, as_markdown
from app.recommendations import service as recommendations
from app.tuning import service as studies
from tests.app import factories
from tests.app.one_kind import kind  # noqa: F401
from tests.app.serving import problem

PAGE = Path(__file__).parents[3] / "docs" / "api-errors.md"


def test_every_kind_is_described_under_the_heading_its_type_ends_in():
    headings = [
        line.removeprefix("### ") for line in PAGE.read_text().splitlines() if line[:4] == "### "
    ]
    assert headings == list(TYPES)


def test_the_documentation_describes_the_kinds_as_the_service_does():
    written = " ".join(PAGE.read_text().partition("## Common problems")[2].split())
    assert written == " ".join(as_markdown().split())


def test_the_type_points_to_a_page_that_the_service_has(api):
    document = problem(api.get("/v1/nothing"), 404, "not-found")
    page, _, anchor = document["type"].partition("#")
    answer = api.get(page, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert f'id="{anchor}"' in answer.text


def test_the_page_of_errors_needs_no_key(serve, with_key):
    with_key("read")
    assert httpx.get(f"{serve(needs_keys=True)}/errors").status_code == 200


def test_an_unknown_path(api):
    problem(api.get("/v1/nothing"), 404, "not-found")


def test_an_unknown_id_names_the_thing(api):
    document = problem(api.get("/v1/studies/st_none"), 404, "not-found")
    assert "st_none" in document["detail"]


def test_a_method_that_a_path_does_not_have(api):
    answer = api.delete("/v1/devices")
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_a_wrong_field_is_named_with_what_is_wrong(api):
    document = problem(api.get("/v1/devices", params={"limit": 0}), 422, "invalid-request")
    assert [each["field"] for each in document["errors"]] == ["query.limit"]
    assert "at least 1" in document["errors"][0]["message"]


def test_a_query_that_is_not_known_is_refused_not_ignored(api):
    document = problem(
        api.get("/v1/measurements", params={"workloads": "x"}), 422, "invalid-request"
    )
    assert document["errors"][0]["field"] == "query.workloads"
    assert "Did you mean workload?" in document["errors"][0]["message"]


def test_every_wrong_field_of_a_body_is_named(api):
    body = {"workload": "transformer", "trials": "8", "buget": "red"}
    document = problem(api.post("/v1/studies", json=body), 422, "invalid-request")
    messages = {each["field"]: each["message"] for each in document["errors"]}
    assert messages.keys() == {"body.trials", "body.buget"}
    assert "whole number" in messages["body.trials"]
    assert "Did you mean budget?" in messages["body.buget"]


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ({"devices": "cuda:0,cuda:1"}, "devices", "Expected a whole number or a list"),
        ({"devices": ["cuda:0", 3]}, "devices", "Expected a whole number"),
        ({"devices_at_once": "x"}, "devices_at_once", "Expected a whole number or 'all'"),
        ({"pinned": {"layers": {}}}, "pinned.layers", "Expected true or false, a whole number, "),
    ],
)
def test_a_field_that_may_be_several_things_is_named_once(api, given, field, expected):
    body = {"workload": "transformer", **given}
    document = problem(api.post("/v1/studies", json=body), 422, "invalid-request")
    assert document["errors"][0]["field"] == f"body.{field}"
    assert document["errors"][0]["message"].startswith(expected)
    assert "[_" not in document["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"workload": 7},
        {"workload": "transformer", "device": "a\nb"},
        {"workload": "transformer", "sampler": "guess"},
        {"workload": "transformer", "headroom": 2},
        {"workload": "transformer", "options": []},
        {"workload": "transformer", "pinned": {"a": {}}},
        [],
    ],
)
def test_no_words_of_a_library_reach_the_client(api, body):
    document = problem(api.post("/v1/studies", json=body), 422, "invalid-request")
    for each in [document["detail"], *(each["message"] for each in document["errors"])]:
        for words in ("Input should", "Field required", "String should", "Value error", "Extra"):
            assert words not in each


@pytest.mark.parametrize("body", [b"{", b'{"workload": ', b"\xff\xfe", b"[" * 10_000])
def test_a_body_that_is_no_json(api, body):
    answer = api.post("/v1/studies", content=body, headers={"Content-Type": "application/json"})
    problem(answer, 400, "malformed-body")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"workload": "visnet", "workload": "transformer"}', "'workload'"),
        (b'{"workload": "visnet", "options": {"a": {"b": 1, "b": 1}}}', "'b'"),
        (b'{"workload": "visnet", "headroom": NaN}', "NaN"),
        (b'{"workload": "visnet", "headroom": -Infinity}', "-Infinity"),
    ],
)
def test_a_body_that_readers_could_take_in_two_ways(api, body, named):
    answer = api.post("/v1/studies", content=body, headers={"Content-Type": "application/json"})
    assert named in problem(answer, 400, "malformed-body")["detail"]
    assert api.get("/v1/studies").json()["items"] == []


def test_a_body_that_is_not_said_to_be_json_is_not_taken_for_it(api):
    answer = api.post("/v1/studies", content=b'{"workload": "transformer"}')
    document = problem(answer, 422, "invalid-request")
    assert "Content-Type: application/json" in document["detail"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    curl = api.post("/v1/studies", content=b'{"workload": "transformer"}', headers=form)
    document = problem(curl, 422, "invalid-request")
    assert document["errors"][0]["field"] == "header.content-type"
    assert "x-www-form-urlencoded" in document["detail"]


def test_a_failure_of_the_service_is_a_problem_too_and_tells_nothing(api, monkeypatch, caplog):
    def fail(*_arguments, **_named):
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(recommendations, "text", fail)
    with caplog.at_level(logging.ERROR, logger="app"):
        answer = api.get("/v1/recommendations/rec_1")
    document = problem(answer, 500, "internal-error")
    assert "the secret" not in answer.text
    record = next(record for record in caplog.records if record.exc_info)
    assert "the secret is 42" in str(record.exc_info[1])
    assert document["request_id"]


def test_a_database_that_is_away_is_a_503_with_a_time_to_try_again(api, database):
    with database.write() as session:
        session.execute(text("ALTER TABLE tonnage_checks RENAME TO tonnage_checks_away"))
    answer = api.get("/v1/checks")
    problem(answer, 503, "unavailable")
    assert "tonnage_checks" not in answer.text
    assert database.url.database not in answer.text
    assert int(answer.headers["retry-after"]) > 0


def test_a_client_may_give_the_request_its_id(api):
    answer = api.get("/v1/nothing", headers={"X-Request-ID": "build-17"})
    assert problem(answer, 404, "not-found")["request_id"] == "build-17"


def test_an_id_that_would_spoil_the_log_is_not_taken(api):
    answer = api.get("/healthz", headers={"X-Request-ID": "a\tb"})
    assert answer.headers["x-request-id"] != "a\tb"


def test_an_export_that_a_format_cannot_carry(api, database):
    study, _ = studies.open_study(database, factories.spec())
    awkward = factories.recommendation(config={"name": "two\nlines"})
    studies.finish(database, study.id, awkward)
    answer = api.get("/v1/recommendations/rec_1/exports/env")
    document = problem(answer, 422, "invalid-request")
    assert "json, yaml or toml" in document["detail"]


def test_answers_carry_security_headers(api: httpx.Client):
    headers = api.get("/v1/devices").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
