"""Sending requests: the key, time-outs, trying again, and errors as exceptions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app.client.errors import ProblemError, foreign, is_problem, problem_from, unreachable
from probes.errors import InputError

ATTEMPTS = 4
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
CONTENT_TIMEOUT_S = 600.0
"""For large bodies."""
_TRY_AGAIN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Content:
    """A body that is not JSON."""

    media_type: str
    data: bytes


class Transport:
    """Requests to one service. What may be sent twice is tried again when the service does not
    answer or says that it cannot now."""

    def __init__(
        self,
        base_url: str,
        key: str | None,
        timeout_s: float,
        pause: Callable[[float], None] = time.sleep,
        attempts: int = ATTEMPTS,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if key and not (key.isascii() and key.isprintable()):
            raise InputError("The key of the service has characters that no key has.")
        try:
            self._http = httpx.Client(
                base_url=base_url, headers=headers, timeout=timeout_s, follow_redirects=False
            )
        except httpx.InvalidURL as error:
            raise InputError(f"{base_url!r} is not the address of a service: {error}.") from None
        self.base_url = base_url
        self.pause = pause
        self._attempts = attempts

    def close(self) -> None:
        self._http.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        idempotency_key: str | None = None,
        repeatable: bool = False,
        content: Content | None = None,
    ) -> Any:
        """The body of the answer; ``None`` when it has none. ``repeatable`` says of a POST without
        a key that doing it twice changes nothing. ``content`` is a body that is not JSON. Raises
        ``ProblemError``."""
        answer = self._send(method, path, query, body, idempotency_key, repeatable, content)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise foreign(self.base_url) from None

    def text(self, path: str) -> str:
        """The body of an answer to GET as text. Raises ``ProblemError``."""
        return self._send("GET", path, None, None, None).text

    @contextmanager
    def stream(self, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """An answer to GET whose body is read as it comes. Raises ``ProblemError``."""
        try:
            with self._http.stream("GET", path, headers=headers) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._problem(answer)
                yield answer
        except httpx.RequestError as error:
            raise self._failed(error) from error

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        body: Any,
        idempotency_key: str | None,
        repeatable: bool = False,
        content: Content | None = None,
    ) -> httpx.Response:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        sent: dict[str, Any] = {"json": body}
        if content is not None:
            headers["Content-Type"] = content.media_type
            sent = {"content": content.data, "timeout": CONTENT_TIMEOUT_S}
        params = {name: value for name, value in (query or {}).items() if value is not None}
        repeatable = repeatable or method != "POST" or idempotency_key is not None
        for attempt in range(self._attempts):
            last = attempt == self._attempts - 1 or not repeatable
            wait_s = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S) * (0.5 + random.random() / 2)
            try:
                answer = self._http.request(method, path, params=params, headers=headers, **sent)
            except httpx.RequestError as error:
                if last or not isinstance(error, httpx.TransportError):
                    raise self._failed(error) from error
            else:
                if answer.is_success:
                    return answer
                problem = self._problem(answer)
                if last or answer.status_code not in _TRY_AGAIN:
                    raise problem
                wait_s = max(wait_s, min(problem.retry_after_s or 0.0, LONGEST_PAUSE_S))
            self.pause(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _problem(self, answer: httpx.Response) -> ProblemError:
        """A service of ours redirects nobody, and says in its own words what it does not have."""
        if answer.is_redirect:
            return foreign(self.base_url, f"it redirects to {answer.headers['location']}")
        try:
            document = answer.json()
        except ValueError:
            document = None
        status = answer.status_code
        if status < 400 or (status == 404 and not is_problem(document)):
            return foreign(self.base_url, f"status {status}")
        return problem_from(status, document, answer.headers.get("retry-after"))

    def _failed(self, error: httpx.RequestError) -> ProblemError:
        if isinstance(error, httpx.TransportError):
            return unreachable(self.base_url, _words(error))
        return foreign(self.base_url, _words(error))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
