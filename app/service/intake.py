"""How much of a request is read, and for how long: a client that is too large or too slow is told
so, and costs no more than what it sent until then."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import problem_types as types
from app.http import problems
from app.http.caller import Caller
from app.http.problems import HttpProblem
from app.http.security import CALLER

BUNDLES = "/v1/bundles/"
BUNDLE_TIMEOUT_S = 600.0
"""How long a bundle may be on its way."""
CLOSE = {"Connection": "close"}
"""What is left of the body on the connection is not read."""


class Intake:
    """ASGI middleware: limits the size of a body and the time until it is complete."""

    def __init__(
        self, app: ASGIApp, max_bytes: int, timeout_s: float, bundle_bytes: int = 0
    ) -> None:
        """``bundle_bytes``: size of the largest bundle. Whoever may send one may send more, and
        has the time for it."""
        self.app = app
        self.usual = Allowance(max_bytes, timeout_s)
        most = max(max_bytes, bundle_bytes + bundle_bytes // 100)  # data that does not compress
        self.of_bundles = Allowance(most, max(timeout_s, BUNDLE_TIMEOUT_S))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        allowed = self.of_bundles if _sends_bundle(scope) else self.usual
        if length is not None and (not length.isdecimal() or int(length) > allowed.max_bytes):
            await problems.response(allowed.too_large(), scope)(scope, receive, send)
            return
        await self.app(scope, allowed.limited(receive), send)


@dataclass(frozen=True)
class Allowance:
    """What one request may send."""

    max_bytes: int
    timeout_s: float

    def limited(self, receive: Receive) -> Receive:
        received_bytes = 0
        complete = False
        deadline_s = time.monotonic() + self.timeout_s

        async def limited() -> Message:
            nonlocal received_bytes, complete
            if complete:  # a further read waits for the client to disconnect
                return await receive()
            try:
                async with asyncio.timeout(max(deadline_s - time.monotonic(), 0.0)):
                    message = await receive()
            except TimeoutError:
                raise HttpProblem(
                    types.REQUEST_TIMEOUT,
                    f"The body was not complete after {self.timeout_s:g} s.",
                    headers=CLOSE,
                ) from None
            received_bytes += len(message.get("body", b""))
            if received_bytes > self.max_bytes:
                raise self.too_large()
            complete = not message.get("more_body", False)
            return message

        return limited

    def too_large(self) -> HttpProblem:
        return HttpProblem(
            types.BODY_TOO_LARGE, f"At most {self.max_bytes} bytes are read.", headers=CLOSE
        )


def _sends_bundle(scope: Scope) -> bool:
    """Whether it is a bundle from a caller who may send one."""
    caller: Caller | None = scope.get(CALLER)
    return scope["path"].startswith(BUNDLES) and caller is not None and caller.may_send_code
