"""The answer to a read: content with an entity tag, and 304 where the client has it already."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.database.floats import MARKER, decoded
from probes.formatting import finite


class TaggedReply(Response):
    """A successful answer to GET carries a weak ``ETag`` of its content: weak, because the same
    content may be sent compressed or not."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.status_code == 200 and scope["method"] == "GET":
            tag = f'W/"{hashlib.sha256(self.body).hexdigest()[:32]}"'
            self.headers["ETag"] = tag
            self.headers["Cache-Control"] = "private, no-cache"
            if matches(Headers(scope=scope).get("if-none-match"), tag):
                self.status_code, self.body = 304, b""
                del self.headers["content-length"], self.headers["content-type"]
        await super().__call__(scope, receive, send)


class JsonReply(TaggedReply, JSONResponse):
    """JSON text, from plain data, or as it is from ``bytes``. NaN and infinity, which JSON does not
    have, become null."""

    def render(self, content: Any) -> bytes:
        if isinstance(content, bytes):
            return content
        try:
            text = json.dumps(content, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(finite(content), allow_nan=False, separators=(",", ":"))
        return text.encode()


class TextReply(TaggedReply):
    """Text as it is."""

    media_type = "text/plain"


def stored(text: str) -> bytes:
    """A stored document as the JSON that is sent. Only one with numbers that JSON does not have,
    which are stored under a marker, has to be decoded and written again."""
    if MARKER in text:
        text = json.dumps(finite(decoded(json.loads(text))), allow_nan=False)
    return text.encode()


def matches(if_none_match: str | None, tag: str) -> bool:
    """Weak comparison (RFC 9110, 13.1.2): what a tag was marked as does not count."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    bare = tag.removeprefix("W/")
    return any(each.strip().removeprefix("W/") == bare for each in if_none_match.split(","))
