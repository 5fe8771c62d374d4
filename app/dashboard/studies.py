"""``/studies``: every study, the newest first."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import Filter, page
from app.http.fields import Id
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.jobs.records import STATES
from app.studies import view
from app.studies.progress import outline

PER_PAGE = 50

router = resource("study-list-page")


@router.get("/studies", include_in_schema=False)
def listing(
    request: Request,
    service: ServiceDep,
    caller: Reader,
    state: Filter = "",
    workload: Filter = "",
    budget: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    wanted = {"state": state or None, "workload": workload or None, "budget": budget or None}
    found = view.page(service.database, **wanted, before=before, limit=PER_PAGE + 1)
    shown = found[:PER_PAGE]
    given = {name: value for name, value in wanted.items() if value}
    older = {**given, "before": shown[-1].id} if len(found) > PER_PAGE else None
    context = {
        "studies": outline(service.database, shown),
        "states": STATES,
        "budgets": list(service.settings.budget_table()),
        "state": state,
        "workload": workload,
        "budget": budget,
        "is_filtered": bool(given),
        "older": f"/studies?{urlencode(older)}" if older else "",
        "newer": f"/studies?{urlencode(given)}" if before else "",
    }
    return page(request, "studies.html", context)
