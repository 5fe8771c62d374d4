"""Submitted forms, and the proof that they come from this service (CSRF protection).

Every form carries a token that another site cannot know. If the service requires keys, the token
belongs to the session; otherwise it repeats a cookie that only pages of this service receive.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.http import problem_types as types
from app.http.problems import HttpProblem
from app.keys import sessions

COOKIE = "tonnage_form"
FIELD = "csrf_token"
MEDIA_TYPE = "application/x-www-form-urlencoded"


class Form(dict[str, str]):
    """What was typed into each field, stripped of spaces. A missing field is empty."""

    def __missing__(self, name: str) -> str:
        return ""


async def _form(request: Request) -> Form:
    """The submitted form. Raises ``HttpProblem`` if another site sent it."""
    _check_origin(request)
    if not request.headers.get("content-type", "").startswith(MEDIA_TYPE):
        raise HttpProblem(types.MALFORMED_BODY, f"Send the form as {MEDIA_TYPE}.")
    try:
        fields = parse_qs((await request.body()).decode(), max_num_fields=500)
    except (UnicodeDecodeError, ValueError) as error:
        raise HttpProblem(types.MALFORMED_BODY, f"The form cannot be read: {error}.") from None
    form = Form({name: values[-1].strip() for name, values in fields.items()})
    expected = await run_in_threadpool(token, request)
    if not hmac.compare_digest(form.pop(FIELD, "").encode(), expected.encode()):
        raise HttpProblem(types.FORM_EXPIRED, "The form was not sent from a page of this service.")
    return form


def chosen(form: Form, group: str) -> list[str]:
    """The ticked ones of the boxes that are called ``GROUP.NAME``: their names."""
    before = f"{group}."
    return [name.removeprefix(before) for name in form if name.startswith(before) and form[name]]


FormDep = Annotated[Form, Depends(_form)]


def token(request: Request) -> str:
    """The token for forms sent to the caller."""
    session = request.cookies.get(sessions.COOKIE)
    if session is not None and request.app.state.service.needs_keys:
        found = sessions.form_token(request.app.state.service.database, session)
        if found is not None:
            return found
    given = request.cookies.get(COOKIE, "")
    if len(given) >= 32:
        return given
    made: str = request.scope.setdefault("tonnage.form", secrets.token_urlsafe(32))
    return made


def remember(request: Request, reply: Response) -> None:
    """Send the cookie that a new token repeats."""
    made = request.scope.get("tonnage.form")
    if made is not None:
        reply.set_cookie(
            COOKIE, made, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )


def _check_origin(request: Request) -> None:
    """Browsers state where a form comes from; other clients need not."""
    origin = request.headers.get("origin")
    host = request.headers.get("host")
    elsewhere = origin is not None and urlsplit(origin).netloc != host
    if elsewhere or request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise HttpProblem(types.FOREIGN_ORIGIN, "The form was sent from a page of another site.")
