"""A request that was sent twice is done once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from starlette.responses import Response

from app.clock import utc_now
from app.errors import IdempotencyConflict
from app.http import idempotency
from app.http.idempotency import Request
from app.measurements import service as measurements
from tests.app import contents, factories
from tests.app.serving import problem


def post(batch_size: int = 8) -> dict:
    return {
        "scope": {"workload_hash": "a1", "fingerprint": "f1"},
        "measurement": factories.measurement(batch_size).to_dict(),
    }


def count(database) -> int:
    return len(contents.measurements(database))


def test_the_same_key_is_answered_the_same_and_kept_once(api, database):
    header = {"Idempotency-Key": "build-17"}
    first = api.post("/v1/measurements", json=post(), headers=header)
    again = api.post("/v1/measurements", json=post(), headers=header)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first.headers["location"] == again.headers["location"]
    assert count(database) == 1


def test_without_a_key_each_request_counts(api, database):
    for _ in range(2):
        assert api.post("/v1/measurements", json=post()).status_code == 201
    assert count(database) == 2


def test_the_same_key_for_another_body_is_refused(api, database):
    header = {"Idempotency-Key": "build-17"}
    api.post("/v1/measurements", json=post(8), headers=header)
    answer = api.post("/v1/measurements", json=post(9), headers=header)
    problem(answer, 409, "idempotency-conflict")
    assert count(database) == 1


def test_the_order_of_fields_does_not_make_another_body(api, database):
    header = {"Idempotency-Key": "build-17"}
    turned = {name: post()[name] for name in ("measurement", "scope")}
    api.post("/v1/measurements", json=post(), headers=header)
    assert api.post("/v1/measurements", json=turned, headers=header).status_code == 201
    assert count(database) == 1


def test_keys_of_two_callers_never_meet(serve, with_key, database):
    url = serve(needs_keys=True)
    for number in range(2):
        headers = {**with_key("run"), "Idempotency-Key": "1"}
        answer = httpx.post(f"{url}/v1/measurements", json=post(number + 1), headers=headers)
        assert answer.status_code == 201
    assert count(database) == 2


def test_many_at_once_on_two_services_store_one_row(serve, database):
    urls = [serve(), serve()]

    def send(number: int) -> httpx.Response:
        headers = {"Idempotency-Key": "same"}
        url = urls[number % 2]
        return httpx.post(f"{url}/v1/measurements", json=post(), headers=headers, timeout=60)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(32)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert count(database) == 1


def test_many_writers_at_once_lose_and_double_nothing(serve, database):
    url = serve()

    def send(number: int) -> int:
        headers = {"Idempotency-Key": f"probe-{number}"}
        body = post(number + 1)
        answer = httpx.post(f"{url}/v1/measurements", json=body, headers=headers, timeout=60)
        return answer.status_code

    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(send, range(128)))
    assert set(statuses) == {201}
    stored = [found.batch_size for found in contents.measurements(database)]
    assert sorted(stored) == list(range(1, 129))


class TestOnce:
    request = Request("me", "POST /x", "key", "hash")

    def test_what_fails_leaves_neither_the_thing_nor_the_key(self, database):
        def fail(session):
            measurements.receive(session, factories.scope(), factories.measurement())
            raise RuntimeError("power cut")

        with pytest.raises(RuntimeError):
            idempotency.once(database, self.request, fail)
        assert count(database) == 0
        done = idempotency.once(database, self.request, lambda session: Response("{}", 201))
        assert done.status_code == 201

    def test_another_request_under_the_same_key(self, database):
        idempotency.once(database, self.request, lambda session: Response("{}", 201))
        other = Request("me", "POST /x", "key", "other")
        with pytest.raises(IdempotencyConflict, match="'key' was used before"):
            idempotency.once(database, other, lambda session: Response("{}", 201))

    def test_a_key_is_forgotten_after_two_days(self, database, monkeypatch):
        idempotency.once(database, self.request, lambda session: Response("first", 201))
        later = utc_now() + idempotency.KEPT + timedelta(seconds=1)
        monkeypatch.setattr(idempotency, "utc_now", lambda: later)
        other = Request("me", "POST /x", "another key", "hash")
        idempotency.once(database, other, lambda session: Response("{}", 201))
        again = idempotency.once(database, self.request, lambda session: Response("second", 201))
        assert again.body == b"second"


@pytest.mark.parametrize("key", ["", "two words", "x" * 201])
def test_a_key_that_cannot_be_one(api, key):
    answer = api.post("/v1/measurements", json=post(), headers={"Idempotency-Key": key})
    document = problem(answer, 422, "invalid-request")
    assert document["errors"][0]["field"] == "header.Idempotency-Key"
