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
def routes(api) -> list[tuple[str, str]]:
    """Method and path of each route, with made-up ids."""
    paths = api.get("/openapi.json").json()["paths"]
    return [
        (method, re.sub(r"{(\w+)}", lambda part: EXAMPLES.get(part[1], "st_1"), path))
        for path, operations in paths.items()
        for method in operations
        if path.startswith("/v1/")
    ]


def test_every_route_refuses_a_query_parameter_that_does_not_exist(api, routes):
    some = {("get", "/v1/fleet"), ("get", "/v1/studies/st_1/trials"), ("post", "/v1/studies")}
    assert some <= set(routes)
    for method, path in routes:
        answer = api.request(method, path, params={"no_such": "1"})
        assert answer.status_code == 422, (method, path)
        fields = [each["field"] for each in problem(answer, 422, "invalid-request")["errors"]]
        assert "query.no_such" in fields, (method, path)


def test_a_read_that_has_no_pages_refuses_a_limit(api):
    document = problem(
        api.get("/v1/studies/st_1/trials", params={"limit": "abc"}), 422, "invalid-request"
    )
    assert [each["field"] for each in document["errors"]] == ["query.limit"]


def test_a_health_check_may_carry_any_query(api):
    assert api.get("/healthz", params={"at": "1"}).status_code == 200
