"""``/v1/fleet-answers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from app.errors import NotFound, NotInstalled
from app.fleet_answers import repository
from app.fleet_answers import service as fleet_answers
from app.fleet_answers.exports.formats import FORMATS
from app.fleet_answers.schemas import FleetAnswerOut, FleetAnswerPost, FleetAnswerQuery
from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.paging import Page, listed
from app.http.problems import HttpProblem
from app.http.reply import TextReply
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader, Runner
from probes.errors import InputError

router = resource("fleet-answers", "/v1/fleet-answers")

FleetAnswerId = Annotated[str, id_in_path("fleet answer", "fla_1k0rr48nvttvb71401qp")]
if TYPE_CHECKING:
    RequestFormatName = str
else:
    RequestFormatName = Literal[tuple(FORMATS)]  # the API description lists them


@router.get("", summary="List fleet answers")
def list_fleet_answers(
    service: ServiceDep, caller: Reader, query: Annotated[FleetAnswerQuery, Query()]
) -> Page[FleetAnswerOut]:
    """Answers that were given, newest first."""
    return listed(service.database, repository.page, query, FleetAnswerOut.of)


@router.post(
    "",
    summary="Ask which device to train on",
    status_code=201,
    responses=problems(types.NOT_FOUND, types.QUESTION_REFUSED, types.NOT_INSTALLED),
)
def ask_fleet_answer(service: ServiceDep, caller: Runner, body: FleetAnswerPost) -> FleetAnswerOut:
    """Compares every device class by what was measured on it: time, memory, energy and cost of the
    training. Nothing is measured; a class that has not run the workload is a prior, with the probe
    that would settle the choice. The answer is stored."""
    try:
        found = fleet_answers.ask(service.database, service.settings, body.question())
    except (NotFound, NotInstalled):
        raise
    except InputError as error:
        raise HttpProblem(types.QUESTION_REFUSED, str(error)) from None
    return FleetAnswerOut.of(found)


@router.get("/{answer_id}", summary="Read a fleet answer", responses=problems(types.NOT_FOUND))
def read_fleet_answer(
    service: ServiceDep, caller: Reader, answer_id: FleetAnswerId
) -> FleetAnswerOut:
    """One answer as it was given; what was measured since does not change it."""
    return FleetAnswerOut.of(fleet_answers.get(service.database, answer_id))


@router.get(
    "/{answer_id}/exports/{format}",
    summary="Export a fleet answer",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(types.NOT_FOUND, types.CONFLICT),
    },
)
def export_fleet_answer(
    service: ServiceDep, caller: Reader, answer_id: FleetAnswerId, format: RequestFormatName
) -> Response:
    """The chosen class as the resource request of a scheduler."""
    row = fleet_answers.get(service.database, answer_id)
    document = fleet_answers.document_of(row)
    return TextReply(FORMATS[format].make(service.settings, document))
