"""``/``: what is known, at a glance."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import page
from app.service.resource import resource
from app.service.runtime import ServiceDep
from app.service.security import Reader

router = resource("overview")


@router.get("/", include_in_schema=False)
def overview(request: Request, service: ServiceDep, caller: Reader) -> Response:
    return page(request, "overview.html", {})
