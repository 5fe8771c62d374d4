"""``/recommendations``: the results of studies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.listing import PER_PAGE, FilterField, Listing, given, options
from app.dashboard.page import Filter, page
from app.dashboard.views.recommendation import view
from app.http.fields import Id
from app.http.resource import pages
from app.http.runtime import ServiceDep
from app.recommendations import repository
from app.recommendations import service as recommendations
from app.recommendations.routes import RecommendationId
from app.validity.last_seen import validities
from app.workloads.registry import registered

router = pages()


@router.get("/recommendations")
def listing(
    request: Request,
    service: ServiceDep,
    workload: Filter = "",
    budget: Filter = "",
    device: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    wanted = given(workload=workload, budget=budget, device=device)
    with service.database.read() as session:
        found = repository.page(session, **wanted, before=before, limit=PER_PAGE + 1)
    shown = Listing.of("/recommendations", found, wanted, before)
    choices = recommendations.choices(service.database)
    context = {
        "listing": shown,
        "standings": validities(service.database, shown.shown),
        "filters": [
            FilterField("workload", "Workload", workload, options(choices.workloads)),
            FilterField("budget", "Budget", budget, options(choices.budgets, as_words=True)),
            FilterField("device", "Device", device, options(choices.devices)),
        ],
    }
    return page(request, "recommendations.html", context)


@router.get("/recommendations/{recommendation_id}")
def recommendation(
    request: Request, service: ServiceDep, recommendation_id: RecommendationId
) -> Response:
    found = recommendations.exactly(service.database, recommendation_id)
    context = {
        "view": view(service.database, found),
        "is_registered": found.workload in registered(service.settings),
    }
    return page(request, "recommendation.html", context)
