"""JSON bodies: what the format leaves open, and a reader could take in two ways, is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.http import problem_types as types
from app.http.problems import HttpProblem


class JsonRoute(APIRoute):
    """A route that reads its body with ``read``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return handle_json


class _JsonRequest(Request):
    async def json(self) -> Any:
        return read(await self.body())


def read(body: bytes) -> Any:
    """The document. Raises ``HttpProblem`` for a key that an object has twice and for ``NaN`` and
    ``Infinity``, and ``ValueError`` for what is not JSON at all."""
    return json.loads(body, object_pairs_hook=_each_once, parse_constant=_no_number)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            detail = f"An object has the key {name[:100]!r} twice. Send each key once."
            raise HttpProblem(types.MALFORMED_BODY, detail)
        found[name] = value
    return found


def _no_number(text: str) -> Any:
    raise HttpProblem(types.MALFORMED_BODY, f"The body is not JSON: {text} is no number of JSON.")
