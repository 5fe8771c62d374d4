"""HEAD wherever there is GET (RFC 9110): the headers of its answer, and no body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadDone(Exception):
    """Ends a stream of which a HEAD request has what it wants."""


class Head:
    """ASGI middleware: a HEAD request reaches its route as GET. Outside what compresses answers, so
    that their headers are those of GET."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        # A copy: the server looks at the method of its own to leave out the body.
        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, _only_headers(send))
        except Exception as error:
            if not _is_done(error):
                raise
        finally:
            if "route" in as_get:  # the metrics name it
                scope["route"] = as_get["route"]


def _is_done(error: BaseException) -> bool:
    """Whether nothing else was raised. Streams run in groups of tasks, which raise together."""
    together = getattr(error, "exceptions", None)
    return isinstance(error, HeadDone) if together is None else all(map(_is_done, together))


def _only_headers(send: Send) -> Send:
    async def send_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif message.get("more_body", False):
            raise HeadDone

    return send_headers
