"""``/checks``: what the pre-training check has answered, and why."""

from __future__ import annotations

from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.checks import repository
from app.checks import service as checks
from app.checks.records import CheckVerdict
from app.checks.routes import CheckId
from app.dashboard.page import Filter, page
from app.http.fields import Id
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader

PER_PAGE = 50
VERDICTS: tuple[str, ...] = get_args(CheckVerdict)

router = resource("check-pages")


@router.get("/checks", include_in_schema=False)
def listing(
    request: Request,
    service: ServiceDep,
    caller: Reader,
    workload: Filter = "",
    verdict: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    wanted = {"workload": workload or None, "verdict": verdict or None}
    with service.database.read() as session:
        found = repository.page(session, **wanted, before=before, limit=PER_PAGE + 1)
    shown = found[:PER_PAGE]
    given = {name: value for name, value in wanted.items() if value}
    older = {**given, "before": shown[-1].id} if len(found) > PER_PAGE else None
    context = {
        "checks": shown,
        "verdicts": VERDICTS,
        "workload": workload,
        "verdict": verdict,
        "is_filtered": bool(given),
        "older": f"/checks?{urlencode(older)}" if older else "",
        "newer": f"/checks?{urlencode(given)}" if before else "",
    }
    return page(request, "checks.html", context)


@router.get("/checks/{check_id}", include_in_schema=False)
def check(request: Request, service: ServiceDep, caller: Reader, check_id: CheckId) -> Response:
    return page(request, "check.html", {"check": checks.get(service.database, check_id)})
