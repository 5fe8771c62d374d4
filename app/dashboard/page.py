"""A page: a template rendered on the server, with headers that keep foreign code out."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, NamedTuple

from fastapi import Query
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request

from app.dashboard import forms
from app.dashboard.assets import path_of
from app.dashboard.filters import FILTERS
from app.http.caller import allows
from app.http.reply import TaggedReply
from app.http.runtime import Service
from app.http.security import caller_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    # With no referrer at all, a browser sends "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie",
}
THEME_COOKIE = "tonnage_theme"
THEMES = ("light", "dark")


Filter = Annotated[str, Query(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A filter of a list. A form sends an unset filter as empty text."""


class Link(NamedTuple):
    """An entry of the navigation."""

    path: str
    title: str
    runs: bool = False
    """Whether only callers who may start studies see it."""


NAVIGATION = (
    Link("/", "Overview"),
    Link("/studies", "Studies"),
    Link("/start", "Start a study", runs=True),
    Link("/recommendations", "Recommendations"),
    Link("/compare", "Compare"),
    Link("/choose", "Choose"),
    Link("/finetunings", "Fine-tunings"),
    Link("/knowledge", "Knowledge"),
    Link("/checks", "Checks"),
    Link("/workloads", "Workloads"),
    Link("/devices", "Devices"),
)


class PageReply(TaggedReply):
    """HTML, with an entity tag if it answers a read."""

    media_type = "text/html"


def page(
    request: Request,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> PageReply:
    """Render ``template`` with what every page shows: navigation, login state, theme."""
    content = environment().get_template(template).render(**shared(request), **(context or {}))
    reply = PageReply(content, status, headers={**HEADERS, **(headers or {})})
    forms.remember(request, reply)
    return reply


def shared(request: Request) -> dict[str, Any]:
    """The variables that every template can use."""
    service: Service = request.app.state.service
    caller = caller_of(request.scope) if "tonnage.caller" in request.scope else None
    theme = request.cookies.get(THEME_COOKIE)
    is_inside = caller is not None and caller.id != "public"
    may_run = caller is not None and is_inside and allows(caller.scope, "run")
    return {
        "navigation": [link for link in NAVIGATION if is_inside and (may_run or not link.runs)],
        "path": request.url.path,
        "theme": theme if theme in THEMES else None,
        "may_run": may_run,
        "is_logged_in": service.needs_keys and is_inside,
        "csrf_token": forms.token(request),
    }


@cache
def environment() -> Environment:
    """The template environment. Everything is escaped, and an undefined name is an error."""
    made = Environment(
        loader=PackageLoader("app.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS)
    made.globals.update(asset=path_of)
    return made
