"""Every item of a listing is seen once, however it is cut into pages."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checks import service as checks
from app.http.paging import NumberedPageQuery, page_of
from app.ids import new_id
from app.measurements import service as measurements
from app.tuning import service as studies
from probes.measurement import Verdict
from tests.app import factories
from tests.app.serving import problem


class Row(NamedTuple):
    id: int


@given(st.integers(0, 2**60 - 1))
def test_a_number_survives_being_a_cursor(number):
    page = page_of([Row(number), Row(number)], NumberedPageQuery(limit=1), lambda row: row.id)
    assert NumberedPageQuery(cursor=page.next_cursor).before == number


@given(st.lists(st.integers(1, 2**40), unique=True, max_size=40), st.integers(1, 10))
def test_walking_the_pages_meets_each_item_once(ids, limit):
    stored = sorted(ids, reverse=True)
    met, cursor = [], None
    while True:
        query = NumberedPageQuery(cursor=cursor, limit=limit)
        before = query.wanted()["before"]
        rows = [Row(each) for each in stored if before is None or each < before]
        page = page_of(rows[: query.wanted()["limit"]], query, lambda row: row.id)
        met += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert met == stored


def walk(api, path: str, **query) -> list[dict]:
    items, cursor = [], None
    while True:
        answer = api.get(
            path, params={**query, "limit": 2, **({"cursor": cursor} if cursor else {})}
        )
        page = answer.json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
        assert len(page["items"]) == 2


@pytest.fixture
def filled(database):
    for number in range(5):
        spec = factories.spec(headroom=number / 100, fingerprint=str(number) * 16)
        study, _ = studies.open_study(database, spec)
        studies.finish(
            database, study.id, factories.recommendation(study.id.replace("st_", "rec_"))
        )
        verdict = Verdict.STABLE if number % 2 else Verdict.OOM
        measurements.record(database, spec.scope, factories.measurement(number + 1, verdict))
        checks.record(
            database, verdict="fits", workload="w", device="cpu", fingerprint="f", document={}
        )


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "path", ["devices", "studies", "measurements", "recommendations", "checks"]
)
def test_every_listing_newest_first(api, path):
    items = walk(api, f"/v1/{path}")
    key = "key" if path == "devices" else "id"
    ids = [item[key] for item in items]
    assert len(set(ids)) == 5
    assert ids == sorted(ids, reverse=True)
    assert ids == [item[key] for item in api.get(f"/v1/{path}").json()["items"]]


@pytest.mark.usefixtures("filled")
def test_what_is_added_meanwhile_shifts_nothing(api, database):
    first = api.get("/v1/measurements", params={"limit": 2}).json()
    measurements.record(database, factories.scope(), factories.measurement(99))
    query = {"limit": 2, "cursor": first["next_cursor"]}
    second = api.get("/v1/measurements", params=query).json()
    batches = [item["batch_size"] for item in first["items"] + second["items"]]
    assert batches == [5, 4, 3, 2]


@pytest.mark.usefixtures("filled")
def test_a_filter_applies_to_every_page(api):
    items = walk(api, "/v1/measurements", verdict="oom")
    assert [item["batch_size"] for item in items] == [5, 3, 1]


def test_the_largest_page_is_bounded(api):
    problem(api.get("/v1/studies", params={"limit": 201}), 422, "invalid-request")


def test_text_that_is_no_cursor(api):
    document = problem(api.get("/v1/devices", params={"cursor": "zz!"}), 422, "invalid-request")
    assert document["errors"][0]["field"] == "query.cursor"


def test_text_that_is_no_id_of_the_listing_is_refused_by_every_listing(api):
    """As a place in the order it would lie before or after everything: an empty page, or the first
    one again."""
    paths = api.get("/openapi.json").json()["paths"]
    listings = [
        path
        for path, operations in paths.items()
        if "{" not in path
        and any(each["name"] == "cursor" for each in operations["get"].get("parameters", []))
    ]
    assert {"/v1/studies", "/v1/recommendations", "/v1/finetunings"} <= set(listings)
    problem(api.get("/v1/studies", params={"cursor": "garbage"}), 422, "invalid-request")
    for path in listings:
        for text in ("rubbish-xyz", "zz_garbage", new_id("zz")):
            answer = api.get(path, params={"cursor": text})
            assert answer.status_code == 422, path
            document = problem(answer, 422, "invalid-request")
            assert [each["field"] for each in document["errors"]] == ["query.cursor"], path
