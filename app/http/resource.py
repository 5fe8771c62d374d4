"""Routers: for the routes of one resource, and for pages."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.http.body import JsonRoute
from app.http.caller import Scope
from app.http.reply import JsonReply
from app.http.security import Needs

NO_PARAMETERS = "There is no such parameter; this path takes none"


def resource(tag: str, prefix: str = "") -> APIRouter:
    """Complete in itself: ``app.service.application`` takes its routes as they are. A route under
    a prefix refuses query parameters that it does not know: its own query model does, and where it
    has none, this router."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        default_response_class=JsonReply,
        route_class=JsonRoute,
        dependencies=[Depends(_no_unknown_parameters)] if prefix else [],
    )


async def _no_unknown_parameters(request: Request) -> None:
    """The error is that of a query model. Raises ``RequestValidationError``."""
    route = request.scope["route"]
    if not request.query_params or _takes_parameters(route):
        return
    raise RequestValidationError(
        [
            {"type": "extra_forbidden", "loc": ("query", name), "msg": NO_PARAMETERS}
            for name in request.query_params
        ]
    )


def _takes_parameters(route: APIRoute) -> bool:
    return bool(route.dependant.query_params)


def pages(scope: Scope | None = "read") -> APIRouter:
    """For pages that need a key of this scope; ``None``: no key. The API does not describe them."""
    needs = [Depends(Needs(scope))] if scope else []
    return APIRouter(dependencies=needs, include_in_schema=False)
