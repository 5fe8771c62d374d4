"""``/v1/checks``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from app.checks import service as checks
from app.checks.schemas import CheckOut, CheckQuery
from app.service import problem_types as types
from app.service.declared import problems
from app.service.paging import Page, page_of
from app.service.resource import resource
from app.service.runtime import ServiceDep
from app.service.security import Reader

router = resource("checks", "/v1/checks")

CheckId = Annotated[
    str,
    Path(
        pattern="^[0-9A-Za-z_]{1,40}$",
        description="Id of the check.",
        examples=["chk_1k0rr48nvttvb71401qp"],
    ),
]


@router.get("", summary="List checks")
def list_checks(
    service: ServiceDep, caller: Reader, query: Annotated[CheckQuery, Query()]
) -> Page[CheckOut]:
    """What the pre-training check has answered, the newest first."""
    wanted = query.model_dump(exclude={"limit", "cursor"})
    rows = checks.page(service.database, before=query.before, limit=query.limit + 1, **wanted)
    return page_of(rows, query.limit, lambda row: row.id, CheckOut.of)


@router.get("/{check_id}", summary="Read a check", responses=problems(types.NOT_FOUND))
def read_check(service: ServiceDep, caller: Reader, check_id: CheckId) -> CheckOut:
    """One check with the numbers it rests on."""
    return CheckOut.of(checks.get(service.database, check_id))
