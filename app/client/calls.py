"""What every method of the client comes to: a request, and the answer as the service's own type."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.client.errors import foreign
from app.client.transport import Transport

Item = TypeVar("Item", bound=BaseModel)

PAGE = 200


class Calls:
    """Requests to one service."""

    _transport: Transport

    def _read(self, path: str, kind: type[Item], query: dict[str, Any] | None = None) -> Item:
        return self._call("GET", path, kind, query=query)

    def _call(self, method: str, path: str, kind: type[Item], **sent: Any) -> Item:
        return self._as(kind, self._transport.json(method, path, **sent))

    def _as(self, kind: type[Item], found: Any) -> Item:
        try:
            return kind.model_validate(found)
        except ValidationError:
            raise foreign(self._transport.base_url) from None

    def _list(self, path: str, kind: type[Item], query: dict[str, Any] | None = None) -> list[Item]:
        found = self._transport.json("GET", path, query=query)
        if not isinstance(found, list):
            raise foreign(self._transport.base_url)
        return [self._as(kind, item) for item in found]

    def _send(self, path: str, kind: type[Item], body: Any, idempotency_key: str | None) -> Item:
        """The key says that it is done once, however often it has to be sent."""
        key = idempotency_key or str(uuid.uuid4())
        return self._call("POST", path, kind, body=body, idempotency_key=key)

    def _pages(self, path: str, kind: type[Item], query: dict[str, Any]) -> Iterator[Item]:
        query = {**query, "limit": PAGE}
        while True:
            page = self._transport.json("GET", path, query=query)
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise foreign(self._transport.base_url)
            yield from (self._as(kind, item) for item in page["items"])
            query["cursor"] = page.get("next_cursor")
            if query["cursor"] is None:
                return
