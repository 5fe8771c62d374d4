"""What every resource's routes have in common."""

from __future__ import annotations

import re

import pytest

from tests.app.serving import problem

EXAMPLES = {
    "key": "0" * 16,
    "name": "Heuristic:Gradient_Checkpointing",
    "bundle_id": "0" * 64,
    "measurement_id": "1",
    "format": "json",
    "task": "snake",
}


@pytest.fixture
def reads(api) -> list[str]:
    """The path of each read, with made-up ids."""
    paths = api.get("/openapi.json").json()["paths"]
    return [
        re.sub(r"{(\w+)}", lambda part: EXAMPLES.get(part[1], "st_1"), path)
        for path, operations in paths.items()
        if path.startswith("/v1/") and "get" in operations
    ]


def test_every_read_refuses_a_query_parameter_that_does_not_exist(api, reads):
    assert {"/v1/fleet", "/v1/device-groups", "/v1/studies/st_1/trials"} <= set(reads)
    for path in reads:
        answer = api.get(path, params={"no_such": "1"})
        assert answer.status_code == 422, path
        fields = [each["field"] for each in problem(answer, 422, "invalid-request")["errors"]]
        assert "query.no_such" in fields, path


def test_a_read_that_has_no_pages_refuses_a_limit(api):
    document = problem(
        api.get("/v1/studies/st_1/trials", params={"limit": "abc"}), 422, "invalid-request"
    )
    assert [each["field"] for each in document["errors"]] == ["query.limit"]


def test_a_health_check_may_carry_any_query(api):
    assert api.get("/healthz", params={"at": "1"}).status_code == 200
