"""``/login`` and ``/logout``: exchange an API key for a cookie, if the service requires keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.forms import FormDep
from app.dashboard.page import page
from app.http.resource import pages
from app.http.runtime import ServiceDep
from app.keys import sessions

router = pages(None)

HOME = "/"


@router.get("/login")
def login_form(
    request: Request, service: ServiceDep, next: Annotated[str, Query(max_length=2000)] = HOME
) -> Response:
    if not service.needs_keys:
        return RedirectResponse(_own(next), 303)
    return page(request, "login.html", {"next": _own(next), "failed": False})


@router.post("/login")
def login(request: Request, service: ServiceDep, form: FormDep) -> Response:
    """Attempts count towards the rate limit, so that keys cannot be guessed by trying many."""
    session = sessions.begin(service.database, form["key"])
    if session is None:
        context = {"next": _own(form["next"]), "failed": True}
        return page(request, "login.html", context, status=401)
    reply = RedirectResponse(_own(form["next"]), 303)
    reply.set_cookie(
        sessions.COOKIE,
        session.cookie,
        max_age=sessions.LASTS_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return reply


@router.post("/logout")
def logout(form: FormDep) -> Response:
    reply = RedirectResponse("/login", 303)
    reply.delete_cookie(sessions.COOKIE, httponly=True, samesite="strict")
    return reply


def _own(path: str) -> str:
    """``path`` if it is a page of this service, otherwise the overview."""
    is_own = path.startswith("/") and path.isprintable() and not path.startswith(("//", "/\\"))
    return path if is_own else HOME
