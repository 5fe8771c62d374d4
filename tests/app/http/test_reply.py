"""Reads can be repeated without sending the same content twice."""

from __future__ import annotations

import math

import pytest

from app.http.reply import finite, matches, stored
from app.tuning import service as studies
from tests.app import factories
from tests.app.one_kind import kind  # noqa: F401


@pytest.fixture
def recommended(database):
    study, _ = studies.open_study(database, factories.spec())
    studies.finish(database, study.id, factories.recommendation(throughput_samples_per_s=math.nan))


@pytest.mark.usefixtures("recommended")
@pytest.mark.parametrize(
    "path",
    [
        "/v1/recommendations",
        "/v1/recommendations/rec_1",
        "/v1/recommendations/rec_1/exports/args",
        "/v1/studies",
        "/v1/devices",
        "/v1/predictions",
    ],
)
def test_what_a_client_has_already_is_not_sent_again(api, path):
    first = api.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    again = api.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    other = api.get(path, headers={"If-None-Match": '"something-else"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.usefixtures("recommended")
def test_a_change_changes_the_tag(api, database):
    before = api.get("/v1/studies").headers["etag"]
    studies.open_study(database, factories.spec(headroom=0.2))
    assert api.get("/v1/studies", headers={"If-None-Match": before}).status_code == 200


@pytest.mark.usefixtures("recommended")
def test_long_answers_are_compressed_for_who_can_read_that(api):
    plain = api.get("/v1/recommendations/rec_1", headers={"Accept-Encoding": "identity"})
    packed = api.get("/v1/recommendations/rec_1", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert packed.json() == plain.json()
    assert packed.headers["etag"] == plain.headers["etag"]


@pytest.mark.usefixtures("recommended")
def test_what_json_does_not_have_is_null(api):
    assert api.get("/v1/recommendations/rec_1").json()["throughput_samples_per_s"] is None
    listed = api.get("/v1/recommendations").json()["items"]
    assert listed[0]["throughput_samples_per_s"] is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("*", True),
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ('"b"', False),
        ("a", False),
        ("", False),
    ],
)
def test_tags_are_compared_weakly(header, expected):
    assert matches(header, 'W/"a"') is expected


def test_a_stored_document_is_sent_as_it_is():
    assert stored('{"b": 1, "a": [null]}') == b'{"b": 1, "a": [null]}'
    assert stored('{"a": {"$float": "nan"}}') == b'{"a": null}'


def test_only_numbers_that_json_does_not_have_become_null():
    assert finite({"a": [1.5, math.inf, (math.nan,)], "b": "nan"}) == {
        "a": [1.5, None, [None]],
        "b": "nan",
    }
