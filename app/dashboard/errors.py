"""Errors as pages, with the content that programs get in a problem document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.page import page
from app.http import problem_types as types

LOGIN = "/login"


def error_page(
    request: Request, problem: dict[str, Any], headers: Mapping[str, str] | None
) -> Response:
    """The page for a problem; a redirect to the login if the caller is not logged in."""
    if problem["status"] == types.NOT_AUTHENTICATED.status:
        return to_login(request)
    kept = {name: value for name, value in (headers or {}).items() if name != "WWW-Authenticate"}
    small = problem["type"] == types.SCOPE_MISSING.uri
    context = {"problem": problem, "is_key_too_small": small}
    return page(request, "error.html", context, status=problem["status"], headers=kept)


def to_login(request: Request) -> Response:
    """Redirect to the login, and back afterwards.

    htmx gets a header instead, because it would put the login form into a part of the page.
    """
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method != "GET" or request.headers.get("hx-request"):
        wanted = "/"
    address = LOGIN if wanted == "/" else f"{LOGIN}?next={quote(wanted, safe='/')}"
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)
