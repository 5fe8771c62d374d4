from __future__ import annotations

import pytest

from app.client.errors import NotFoundError, problem_from


@pytest.mark.parametrize(
    "page", ["/errors", "https://github.com/tonnage/tonnage/blob/main/docs/api-errors.md"]
)
def test_the_kind_is_read_from_the_type_of_this_release_and_of_older_ones(page):
    problem = problem_from(404, {"type": f"{page}#not-found", "title": "Not found"}, None)
    assert (type(problem), problem.kind) == (NotFoundError, "not-found")
