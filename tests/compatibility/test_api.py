"""A database of the last release behind the HTTP interface: every answer is what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.compatibility.compare import missing
from tests.compatibility.released import HTML, answer, golden, interface, log_in, serving
from tests.compatibility.restore import restore

ANSWERS = golden("http")
PAGES = golden("pages")
INTERFACE = golden("interface")
JOB = "st_1k1cypvb6pzr77f47mdz"
"""A study that the service was asked for, which has ended."""
QUEUED = "st_1k1cypvkag971f6s5ghx"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("released")
    restore(folder / "released.db")
    with serving(f"sqlite:///{folder / 'released.db'}", folder / "home") as client:
        yield client


@pytest.mark.parametrize("path", ANSWERS)
def test_every_stored_thing_is_answered_as_before(api: httpx.Client, path: str) -> None:
    assert list(missing(ANSWERS[path], answer(api, path))) == []


def test_every_page_is_shown(api: httpx.Client) -> None:
    with httpx.Client(base_url=api.base_url, timeout=30) as browser:
        log_in(browser)
        shown = {path: browser.get(path, headers=HTML).status_code for path in PAGES}
    assert shown == PAGES


def test_the_stored_key_opens_and_another_does_not(api: httpx.Client) -> None:
    assert api.get("/v1/studies").status_code == 200
    assert httpx.get(f"{api.base_url}/v1/studies").status_code == 401
    wrong = {"Authorization": "Bearer another"}
    assert api.get("/v1/studies", headers=wrong).status_code == 401


def test_the_events_of_an_ended_study_are_told_again(api: httpx.Client) -> None:
    text = api.get(f"/v1/studies/{JOB}/events").text
    kinds = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("event:")]
    data = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    assert " ".join(kinds) == (
        "queued started opened note note trial probe measured settled incumbent finished"
    )
    measured = data[7]["data"]
    assert (measured["verdict"], measured["batch_size"]) == ("stable", 8)
    assert data[-1]["data"]["recommendation_id"] == JOB.replace("st_", "rec_")


def test_a_request_sent_again_is_the_study_that_it_made_before(api: httpx.Client) -> None:
    request = {"workload": "tiny", "budget": "prototyping", "device": "cuda:0"}
    again = api.post("/v1/studies", json=request, headers={"Idempotency-Key": "two"})
    assert again.is_success and again.json()["id"] == QUEUED


@pytest.fixture(scope="module")
def now(api: httpx.Client) -> dict:
    return interface(api)


@pytest.mark.parametrize("operation", INTERFACE)
def test_no_operation_parameter_or_field_is_gone(now: dict, operation: str) -> None:
    before, after = INTERFACE[operation], now[operation]
    assert set(before["parameters"]) <= set(after["parameters"])
    assert set(before["body"]) <= set(after["body"])
    for status, fields in before["answers"].items():
        if int(status) < 400 or status in after["answers"]:
            assert set(fields) <= set(after["answers"][status]), status
