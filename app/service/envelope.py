"""What every request gets, even one that fails: an id, a line in the log, its place in the
metrics, security headers, and an answer even where the service fails."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import problems
from app.http.security import CALLER
from app.log_context import bound
from app.service.metrics import Metrics

REQUEST_ID = "X-Request-ID"
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Where an answer says nothing else about the same thing."""
_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

SLOW_S = 1.0

log = logging.getLogger(__name__)


class Envelope:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log_reads: bool) -> None:
        self.app = app
        self.metrics = metrics
        self.log_reads = log_reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        with bound(request_id=request_id):
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started_s = time.perf_counter()
        status = 0
        is_stream = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message["headers"])
                there = {name for name, _ in headers}
                headers.append((b"x-request-id", request_id.encode()))
                headers += [each for each in _SECURITY if each[0] not in there]
                is_stream = (b"x-accel-buffering", b"no") in headers  # said of event streams only
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            log.exception("Failed on %s %s", scope["method"], scope["path"])
            if status == 0:
                answer = problems.response(problems.problem_of(error), scope)
                await answer(scope, receive, send_with_headers)
        finally:
            duration_s = time.perf_counter() - started_s
            self._note(scope, status, duration_s, is_stream)

    def _note(self, scope: Scope, status: int, duration_s: float, is_stream: bool) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method, path = scope["method"], scope["path"]
        self.metrics.answered(method, route, status, None if is_stream else duration_s)
        if method == "GET" and 200 <= status < 400 and duration_s < SLOW_S and not self.log_reads:
            return
        # The query is left out: people put secrets there by mistake.
        facts = {
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(duration_s * 1000, 2),
            "caller": getattr(scope.get(CALLER), "id", None),
        }
        log.info(
            "%s %s %d %.1f ms", method, path, status, duration_s * 1000, extra={"facts": facts}
        )
