"""``/recommendations``: what studies ended in."""

from __future__ import annotations

from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import Filter, page
from app.dashboard.recommendation_view import view
from app.http.fields import Id
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.recommendations import repository
from app.recommendations import service as recommendations
from app.recommendations.routes import RecommendationId
from app.recommendations.standing import Standing, standings
from app.workloads.registry import registered
from optimizer.records import Recommendation

PER_PAGE = 50

router = resource("recommendation-pages")


class Row(NamedTuple):
    """A line of the list."""

    recommendation: Recommendation
    standing: Standing


@router.get("/recommendations", include_in_schema=False)
def listing(
    request: Request,
    service: ServiceDep,
    caller: Reader,
    workload: Filter = "",
    budget: Filter = "",
    device: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    wanted = {"workload": workload or None, "budget": budget or None, "device": device or None}
    with service.database.read() as session:
        found = repository.page(session, **wanted, before=before, limit=PER_PAGE + 1)
    shown = found[:PER_PAGE]
    known = standings(service.database, shown)
    choices = recommendations.choices(service.database)
    given = {name: value for name, value in wanted.items() if value}
    is_more = len(found) > PER_PAGE
    context = {
        "rows": [Row(each, known[each.id]) for each in shown],
        "filters": [
            ("workload", "Workload", choices.workloads, workload),
            ("budget", "Budget", choices.budgets, budget),
            ("device", "Device", choices.devices, device),
        ],
        "is_filtered": bool(given),
        "older": _address({**given, "before": shown[-1].id}) if is_more else "",
        "newer": _address(given) if before else "",
    }
    return page(request, "recommendations.html", context)


@router.get("/recommendations/{recommendation_id}", include_in_schema=False)
def recommendation(
    request: Request, service: ServiceDep, caller: Reader, recommendation_id: RecommendationId
) -> Response:
    found = recommendations.exactly(service.database, recommendation_id)
    context = {
        "view": view(service.database, found),
        "is_registered": found.workload in registered(service.settings),
    }
    return page(request, "recommendation.html", context)


def _address(query: dict[str, str]) -> str:
    return "/recommendations" + (f"?{urlencode(query)}" if query else "")
