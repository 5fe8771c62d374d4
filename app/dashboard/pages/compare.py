"""``/compare``: two results side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import page
from app.dashboard.views.comparison import options, side_of, view
from app.errors import NotFound
from app.http.resource import pages
from app.http.runtime import ServiceDep
from app.recommendations.compare import METHOD

router = pages()

Reference = Annotated[
    str | None, Query(pattern="^[0-9A-Za-z_]{0,40}$", description="Id of a recommendation, or mN.")
]


@router.get("/compare")
def compare(
    request: Request, service: ServiceDep, a: Reference = None, b: Reference = None
) -> Response:
    sides, problem = [], ""
    for reference in (a, b):
        try:
            sides += [side_of(service.database, reference)] if reference else []
        except NotFound as error:
            problem = str(error)
    shown = None
    if len(sides) == 2:
        shown = view(*sides)
    elif not problem and (a or b):
        problem = "Choose the other side as well."
    context = {
        "a": a,
        "b": b,
        "options": options(service.database, sides),
        "view": shown,
        "problem": problem if b else "",
        "method": METHOD,
    }
    return page(request, "compare.html", context)
