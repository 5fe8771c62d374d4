"""``/v1/checks``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.checks import repository
from app.checks import service as checks
from app.checks.schemas import CheckOut, CheckPost, CheckQuery
from app.errors import NotFound
from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.paging import Page, listed
from app.http.problems import HttpProblem
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader, Runner
from probes.errors import InputError

router = resource("checks", "/v1/checks")

CheckId = Annotated[str, id_in_path("check", "chk_1k0rr48nvttvb71401qp")]


@router.get("", summary="List checks")
def list_checks(
    service: ServiceDep, caller: Reader, query: Annotated[CheckQuery, Query()]
) -> Page[CheckOut]:
    """The answers of the pre-training check, newest first."""
    return listed(service.database, repository.page, query, CheckOut.model_validate)


@router.post(
    "",
    summary="Ask whether a planned run fits",
    status_code=201,
    responses=problems(types.NOT_FOUND, types.PLAN_REFUSED),
)
def ask_check(service: ServiceDep, caller: Runner, body: CheckPost) -> CheckOut:
    """Compares the plan with what is stored: will it fit into the memory there, and finish a cycle
    in time? `unknown` and `stale` are answers too. Nothing is measured; the answer is stored."""
    asked, few = body.asked(), body.accept_brackets
    try:
        found = checks.check(service.database, service.settings, asked, accept_brackets=few)
    except NotFound:
        raise
    except InputError as error:
        raise HttpProblem(types.PLAN_REFUSED, str(error)) from None
    return CheckOut.model_validate(found)


@router.get("/{check_id}", summary="Read a check", responses=problems(types.NOT_FOUND))
def read_check(service: ServiceDep, caller: Reader, check_id: CheckId) -> CheckOut:
    """One check with the numbers it rests on."""
    return CheckOut.model_validate(checks.get(service.database, check_id))
