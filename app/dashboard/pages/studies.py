"""``/studies``: every study, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.listing import PER_PAGE, FilterField, Listing, given, options
from app.dashboard.page import Filter, page
from app.http.fields import Id
from app.http.resource import pages
from app.http.runtime import ServiceDep
from app.studies import view
from app.studies.progress import outline
from app.tuning.state import StudyState

router = pages()


@router.get("/studies")
def listing(
    request: Request,
    service: ServiceDep,
    state: Filter = "",
    workload: Filter = "",
    budget: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    wanted = given(state=state, workload=workload, budget=budget)
    found = view.page(service.database, **wanted, before=before, limit=PER_PAGE + 1)
    shown = Listing.of("/studies", found, wanted, before)
    budgets = options(list(service.settings.budget_table()), as_words=True)
    context = {
        "listing": shown,
        "studies": outline(service.database, shown.shown),
        "filters": [
            FilterField("state", "State", state, options(list(StudyState))),
            FilterField("budget", "Budget", budget, budgets),
            FilterField("workload", "Workload", workload),
        ],
    }
    return page(request, "studies.html", context)
