"""Errors as problem documents: one exception, and one place that turns every other into it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Scope

from app.errors import (
    Conflict,
    IdempotencyConflict,
    NotAccepted,
    NotAllowed,
    NotFound,
    NothingComparable,
    NotInstalled,
    NotRegistered,
)
from app.http import problem_types as types
from app.http.alternatives import in_one, place_in
from app.http.problem_types import ProblemType
from app.http.words import fields_at, said
from app.log_context import context
from probes.errors import MeasurementError, TonnageError
from probes.formatting import sentences

MEDIA_TYPE = "application/problem+json"
FOR_PROGRAMS = ("/v1/", "/assets/", "/metrics", "/openapi.json", "/healthz", "/readyz")
"""Paths that answer with problem documents even if the client accepts HTML."""
RETRY_AFTER_S = 2

log = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(
        description="Where it is: `body`, `query`, `path` or `header`, then the names down to it.",
        examples=["body.measurement.batch_size"],
    )
    message: str = Field(
        description="What is wrong with it.", examples=["Expected a number greater than 0"]
    )


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(
        description="Identifies the kind of error by what follows `#`, which never changes; "
        "the service describes it at this address.",
        examples=[types.NOT_FOUND.uri],
    )
    title: str = Field(description="The kind of error, in words.", examples=[types.NOT_FOUND.title])
    status: int = Field(description="The HTTP status.", ge=400, le=599, examples=[404])
    detail: str = Field(
        description="What happened, to which thing.", examples=["There is no study st_1."]
    )
    what_to_do: str = Field(description="The next step.", examples=[types.NOT_FOUND.what_to_do])
    instance: str = Field(description="The path that was asked for.", examples=["/v1/studies/st_1"])
    request_id: str = Field(
        description="As in the header X-Request-ID, and in every line of the service's log that "
        "belongs to this request.",
        examples=["8f14e45fceea467a"],
    )
    errors: list[FieldProblem] = Field(
        default_factory=list, description="The fields that are wrong, where it is about fields."
    )


class HttpProblem(HTTPException):
    """Raised anywhere below the HTTP interface; it knows how it is to be answered."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(kind.status, detail, headers)
        self.kind = kind
        self.errors = list(errors)


class NothingMore(HTTPException):
    """No problem: there is nothing to stream and never will be, and a browser that is told 204
    stops asking."""

    def __init__(self) -> None:
        super().__init__(204)


def response(error: HttpProblem, scope: Scope) -> Response:
    """The document; a page that says the same, where a browser asked for a page."""
    document = document_of(error, scope["path"], context().get("request_id", ""))
    if wants_page(scope):
        page: Response = scope["app"].state.error_page(Request(scope), document, error.headers)
        return page
    body = json.dumps(document).encode()
    return Response(body, error.kind.status, headers=error.headers, media_type=MEDIA_TYPE)


def document_of(error: HttpProblem, instance: str, request_id: str) -> dict[str, Any]:
    """``Problem``, as it is sent."""
    return {
        "type": error.kind.uri,
        "title": error.kind.title,
        "status": error.kind.status,
        "detail": error.detail,
        "what_to_do": error.kind.what_to_do,
        "instance": instance,
        "request_id": request_id,
        "errors": [each.model_dump() for each in error.errors],
    }


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks, for something that is not the interface of programs."""
    accepted = Headers(scope=scope).get("accept", "")
    return "text/html" in accepted and not scope["path"].startswith(FOR_PROGRAMS)


def problem_of(error: Exception) -> HttpProblem:
    """How an error is answered. What is not known here is the service's own failure."""
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, (TonnageError, PoolTimeout)):
        return _of_rules(error)
    if isinstance(error, IntegrityError):
        return HttpProblem(types.CONFLICT, "Another request changed it at the same moment.")
    return HttpProblem(types.INTERNAL, "The service failed on this request; nothing was stored.")


_RULES: tuple[tuple[type[Exception], ProblemType], ...] = (
    (NotRegistered, types.WORKLOAD_NOT_REGISTERED),
    (NotAllowed, types.OPTION_NOT_ALLOWED),
    (NotAccepted, types.CODE_NOT_ACCEPTED),
    (NotInstalled, types.NOT_INSTALLED),
    (NothingComparable, types.NO_RECOMMENDATION),
    (NotFound, types.NOT_FOUND),
    (IdempotencyConflict, types.IDEMPOTENCY_CONFLICT),
    (Conflict, types.CONFLICT),
    (MeasurementError, types.UNAVAILABLE),
    (PoolTimeout, types.UNAVAILABLE),
    (TonnageError, types.INVALID_REQUEST),
)


def _of_rules(error: Exception) -> HttpProblem:
    kind = next(kind for rule, kind in _RULES if isinstance(error, rule))
    if kind is not types.UNAVAILABLE and not isinstance(error.__cause__, DBAPIError):
        return HttpProblem(kind, str(error))
    # The answer must not reveal where the database is, nor its user.
    log.warning("Unavailable: %s", error)
    return HttpProblem(
        types.UNAVAILABLE,
        "The service cannot use its database now; its log says why.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _of_http(error: HTTPException) -> HttpProblem:
    """Errors that the framework raises."""
    headers = dict(error.headers or {}) or None
    if error.status_code == 404:
        return HttpProblem(types.NOT_FOUND, "There is nothing at this path.", headers=headers)
    if error.status_code == 400:
        return HttpProblem(types.MALFORMED_BODY, "The body is not JSON.", headers=headers)
    log.error("The framework raised %d: %s", error.status_code, error.detail)
    return HttpProblem(types.INTERNAL, "The service failed on this request; nothing was stored.")


def _of_validation(error: RequestValidationError, request: Request) -> HttpProblem:
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        where = f"at character {found[0]['loc'][-1]}: {found[0]['ctx']['error']}"
        return HttpProblem(types.MALFORMED_BODY, f"The body is not a JSON document ({where}).")
    if isinstance(error.body, bytes):
        fields = [_content_type(request)]
    else:
        fields = _fields(found, error.body, request)
    first = f"{fields[0].field}: {fields[0].message}" if fields else "A field is wrong"
    more = f" ({len(fields) - 1} more in errors)" if len(fields) > 1 else ""
    return HttpProblem(types.INVALID_REQUEST, sentences(f"{first}{more}"), errors=fields[:50])


def _fields(found: Sequence[Mapping[str, Any]], body: Any, request: Request) -> list[FieldProblem]:
    """One for each field, whatever the number of things that it may be."""
    messages: dict[str, list[str]] = {}
    for each in found:
        place = place_in(body, each) if each["loc"][0] == "body" else each["loc"]
        messages.setdefault(_dotted(place), []).append(said(each, _known(request, each)))
    return [FieldProblem(field=field, message=in_one(those)) for field, those in messages.items()]


def _content_type(request: Request) -> FieldProblem:
    """The framework reads a body as JSON only where the request says that it is."""
    given = request.headers.get("content-type")
    came = f"not {given[:100]!r}" if given else "which is missing"
    message = f"The body must be sent with Content-Type: application/json, {came}"
    return FieldProblem(field="header.content-type", message=message)


def _known(request: Request, detail: Mapping[str, Any]) -> list[str]:
    """The fields that may stand where an unknown one does."""
    route = request.scope.get("route")
    if detail["type"] != "extra_forbidden" or not isinstance(route, APIRoute):
        return []
    where, *below = detail["loc"]
    declared = route.dependant.body_params if where == "body" else route.dependant.query_params
    if len(declared) != 1:
        return []
    return fields_at(declared[0].field_info.annotation, below[:-1])


def _dotted(location: Sequence[Any]) -> str:
    return ".".join(str(part)[:100] for part in location)


def _of_method(request: Request) -> HttpProblem:
    """The framework names the methods of the first route with this path; there may be more. A path
    that is described as it stands is no id of another one."""
    found: set[str] = set()
    paths = request.app.openapi()["paths"]
    own = paths.get(request.url.path)
    for pattern, operations in (paths if own is None else {request.url.path: own}).items():
        if compile_path(pattern)[0].match(request.url.path):
            found |= {method.upper() for method in operations}
    if "GET" in found:
        found.add("HEAD")
    allowed = ", ".join(sorted(found)) or "GET, HEAD"
    return HttpProblem(
        types.METHOD_NOT_ALLOWED, f"This path takes {allowed}.", headers={"Allow": allowed}
    )


ErrorPage = Callable[[Request, dict[str, Any], Mapping[str, str] | None], Response]
"""Makes a page of a problem document, and headers that its answer must have."""


def install(app: FastAPI, error_page: ErrorPage) -> None:
    """Answer everything that is raised below with a problem document, or a page of it."""
    app.state.error_page = error_page

    def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, NothingMore):
            return Response(status_code=204)
        if isinstance(error, HTTPException) and error.status_code == 405:
            error = _of_method(request)
        if isinstance(error, RequestValidationError):
            error = _of_validation(error, request)
        return response(problem_of(error), request.scope)

    for kind in (HTTPException, RequestValidationError, TonnageError, IntegrityError, PoolTimeout):
        app.add_exception_handler(kind, answer)
