"""``/checks``: what the pre-training check answered, and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.checks import repository
from app.checks import service as checks
from app.checks.plan import CheckVerdict
from app.checks.routes import CheckId
from app.dashboard.listing import PER_PAGE, FilterField, Listing, given, options
from app.dashboard.page import Filter, page
from app.http.fields import Id
from app.http.resource import pages
from app.http.runtime import ServiceDep

router = pages()


@router.get("/checks")
def listing(
    request: Request,
    service: ServiceDep,
    workload: Filter = "",
    verdict: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    wanted = given(workload=workload, verdict=verdict)
    with service.database.read() as session:
        found = repository.page(session, **wanted, before=before, limit=PER_PAGE + 1)
    verdicts = options(list(CheckVerdict), as_words=True)
    context = {
        "listing": Listing.of("/checks", found, wanted, before),
        "filters": [
            FilterField("verdict", "Answer", verdict, verdicts),
            FilterField("workload", "Workload", workload),
        ],
    }
    return page(request, "checks.html", context)


@router.get("/checks/{check_id}")
def check(request: Request, service: ServiceDep, check_id: CheckId) -> Response:
    return page(request, "check.html", {"check": checks.get(service.database, check_id)})
