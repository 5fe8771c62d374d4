"""``/fleet``: the hosts that run studies together, or what to do to have some."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import page
from app.fleet.service import look
from app.http.resource import pages
from app.http.runtime import ServiceDep

router = pages()


@router.get("/fleet")
def fleet(request: Request, service: ServiceDep) -> Response:
    return page(request, "fleet.html", {"fleet": look(service.database)})


@router.get("/fleet/now")
def now(request: Request, service: ServiceDep) -> Response:
    """The part of the page that is refreshed."""
    return page(request, "_nodes.html", {"fleet": look(service.database)})
