from __future__ import annotations

import pytest

from app.client.errors import NotFoundError, problem_from


@pytest.mark.parametrize(
    "page", ["/errors", "https://github.com/tonnage/tonnage/blob/main/docs/api-errors.md"]
)
def test_the_kind_is_read_from_the_type_of_this_release_and_of_older_ones(page):
    problem = problem_from(404, {"type": f"{page}#not-found", "title": "Not found"}, None)
    assert (type(problem), problem.kind) == (NotFoundError, "not-found")


def test_a_command_at_the_end_of_a_detail_can_be_copied():
    document = {
        "type": "/errors#scope-missing",
        "title": "No",
        "detail": "Make one: tonnage keys create --scope code",
        "what_to_do": "Use that key.",
    }
    lines = str(problem_from(403, document, None)).splitlines()
    assert lines == ["403 No: Make one: tonnage keys create --scope code", "Use that key."]
    document["detail"] = "It is too small."
    assert str(problem_from(403, document, None)) == "403 No: It is too small. Use that key."
