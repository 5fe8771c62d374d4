"""``/v1/recommendations``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.known import check_budget
from app.http.paging import Page, listed
from app.http.reply import JsonReply, TextReply, stored
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.recommendations import repository
from app.recommendations import service as recommendations
from app.recommendations.exports.export import FORMATS, export
from app.recommendations.lookup import lookup
from app.recommendations.schemas import (
    ExportOut,
    LookupOut,
    LookupQuery,
    PriorOut,
    RecommendationOut,
    RecommendationQuery,
)

router = resource("recommendations", "/v1/recommendations")

RecommendationId = Annotated[str, id_in_path("recommendation", "rec_1k0rr48nvttvb71401qp")]
if TYPE_CHECKING:
    ExportFormat = str
else:
    ExportFormat = Literal[tuple(FORMATS)]  # the API description lists them


@router.get("", summary="List recommendations", responses=problems(types.NOT_FOUND))
def list_recommendations(
    service: ServiceDep, caller: Reader, query: Annotated[RecommendationQuery, Query()]
) -> Page[RecommendationOut]:
    """The results of all studies, newest first, whether they are still valid or not."""
    found = listed(service.database, repository.page, query, RecommendationOut.of)
    if not found.items:
        check_budget(query.budget, service.settings.budget_table())
    return found


@router.get(
    "/lookup",
    summary="Find the recommendation for a device",
    responses=problems(types.NO_RECOMMENDATION),
)
def look_up(
    service: ServiceDep, caller: Reader, query: Annotated[LookupQuery, Query()]
) -> LookupOut:
    """By workload, budget and device. The answer is `exact` if it was measured on that very device;
    otherwise it is the nearest comparable one as a `prior`: a starting point, not a measurement. It
    says what differs."""
    found = lookup(service.database, query, service.settings)
    out = RecommendationOut.of(found.recommendation)
    if found.match == "exact":
        return LookupOut(match="exact", recommendation=out, prior=None)
    prior = PriorOut(measured_as=out, differences=found.differences)
    return LookupOut(match="prior", recommendation=None, prior=prior)


@router.get(
    "/{recommendation_id}",
    summary="Read a recommendation",
    response_model=RecommendationOut,
    responses=problems(types.NOT_FOUND),
)
def read_recommendation(
    service: ServiceDep, caller: Reader, recommendation_id: RecommendationId
) -> Response:
    """One recommendation with its evidence."""
    return JsonReply(stored(recommendations.text(service.database, recommendation_id)))


@router.get(
    "/{recommendation_id}/exports",
    summary="List the exports of a recommendation",
    responses=problems(types.NOT_FOUND),
)
def list_exports(
    service: ServiceDep, caller: Reader, recommendation_id: RecommendationId
) -> list[ExportOut]:
    """The available formats, and what each of them cannot express of this recommendation."""
    found = recommendations.exactly(service.database, recommendation_id)
    return [ExportOut.of(found, name) for name in FORMATS]


@router.get(
    "/{recommendation_id}/exports/{format}",
    summary="Export a recommendation",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(types.NOT_FOUND, types.CONFLICT),
    },
)
def export_recommendation(
    service: ServiceDep, caller: Reader, recommendation_id: RecommendationId, format: ExportFormat
) -> Response:
    """As text in the format of another program; see `tonnage export`. What the format cannot
    express is in its comments and in the list of exports."""
    found = recommendations.exactly(service.database, recommendation_id)
    return TextReply(export(found, format).text)
