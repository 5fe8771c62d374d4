"""Decides which requests are let in, before their body is read.

Every path but the few in ``PUBLIC`` is checked, so that no route can forget to.
"""

from __future__ import annotations

import math
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http import problem_types as types
from app.http import problems
from app.http.caller import OPEN, Caller
from app.http.problems import HttpProblem
from app.http.runtime import Service
from app.http.security import CALLER
from app.keys import service as keys
from app.keys import sessions
from app.service.listen import is_loopback_name
from app.service.rate import RateLimiter
from probes.errors import TonnageError

PUBLIC = frozenset({"/login", "/docs", "/errors", "/openapi.json", "/healthz", "/readyz"})
"""Paths that tell nothing of what is stored."""
PUBLIC_BELOW = "/assets/"
"""Stylesheets and scripts."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """ASGI middleware: host and origin, then the key, then the rate."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service
        settings = service.settings.service
        self.limiter = RateLimiter(settings.rate_per_s, settings.rate_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check_host(scope)
            self._check_origin(scope)
            scope[CALLER] = await self._caller(scope)
        except (HttpProblem, TonnageError) as error:
            answer = problems.response(problems.problem_of(error), scope)
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _check_host(self, scope: Scope) -> None:
        """A web page could have its own name resolve to this machine (DNS rebinding). Without keys,
        a loopback service is safe from that because it answers only to its own names."""
        if self.service.needs_keys or not self.service.loopback_only:
            return
        host = Headers(scope=scope).get("host", "")
        if host and not _is_own_name(host):
            raise HttpProblem(types.WRONG_HOST, f"{host[:200]!r} is not a name of this machine.")

    def _check_origin(self, scope: Scope) -> None:
        """Without keys, a page of another origin could have a browser send what changes things."""
        origin = Headers(scope=scope).get("origin")
        if self.service.needs_keys or origin is None or scope["method"] in _SAFE:
            return
        if origin in self.service.settings.service.cors_origins:
            return
        if _netloc(origin) != Headers(scope=scope).get("host"):
            raise HttpProblem(types.FOREIGN_ORIGIN, f"The origin {origin[:200]!r} is not allowed.")

    async def _caller(self, scope: Scope) -> Caller:
        address = scope["client"][0] if scope.get("client") else "unknown"
        if not self.service.needs_keys:
            if self.service.is_limited:
                self._count(address)
            return OPEN
        if scope["path"] in PUBLIC or scope["path"].startswith(PUBLIC_BELOW):
            if scope["method"] not in _SAFE:  # trying keys
                self._count(address)
            return Caller("public", "read")
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        key = None
        if scheme.lower() == "bearer" and token:
            key = await run_in_threadpool(keys.authenticate, self.service.database, token.strip())
        elif not token and self._may_use_session(scope):
            cookie = HTTPConnection(scope).cookies.get(sessions.COOKIE)
            if cookie is not None:
                key = await run_in_threadpool(sessions.resume, self.service.database, cookie)
        if key is None:
            self._count(address)
            detail = _refused(Headers(scope=scope).get("authorization"), scheme, token)
            challenge = {"WWW-Authenticate": 'Bearer realm="tonnage"'}
            raise HttpProblem(types.NOT_AUTHENTICATED, detail, headers=challenge)
        self._count(key.id)
        return Caller(key.id, key.scope)

    def _may_use_session(self, scope: Scope) -> bool:
        """A browser adds its cookie to every request that a page makes it send. The dashboard's
        forms prove where they come from; under ``/v1`` the cookie is accepted for reading only."""
        return scope["method"] in _SAFE or not scope["path"].startswith("/v1/")

    def _count(self, client: str) -> None:
        wait_s = self.limiter.take(client)
        if wait_s > 0:
            raise HttpProblem(
                types.TOO_MANY_REQUESTS,
                f"More than {self.service.settings.service.rate_per_s:g} requests per second.",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )


def _refused(header: str | None, scheme: str, token: str) -> str:
    """Why a request is not let in. The header itself is not repeated: it may be a key."""
    if not header:
        return "The request carries no key."
    if scheme.lower() == "bearer" and token.strip():
        return "The key is unknown or revoked."
    return "The header Authorization must have the form: Bearer KEY"


@lru_cache(maxsize=256)
def _is_own_name(host: str) -> bool:
    """Whether a ``Host`` header, which may have a port, names this machine."""
    try:
        return is_loopback_name(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
