"""The description of the interface (``/openapi.json``): what the framework finds out from the
routes, with every error as the problem document that it really is."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.http import problem_types as types
from app.http.problem_types import TYPES, ProblemType
from app.http.problems import MEDIA_TYPE, HttpProblem, Problem, document_of
from app.service.gate import PUBLIC

TITLE = "Tonnage"
DESCRIPTION = """\
Measured training configurations: which one fits which device, how long its cycle takes, and what
was run to know it.

Errors are problem documents (RFC 9457); `/errors` describes their kinds. Listings
come in pages: give `next_cursor` as `cursor`. Reads carry an `ETag`; send it back as
`If-None-Match` and unchanged content is answered with 304.
"""
_METHODS = ("get", "post", "put", "patch", "delete")
_KEY = {"type": "http", "scheme": "bearer", "description": "A key of `tonnage keys create`."}
_REF = "#/components/schemas/"


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once per application."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=TITLE, version=version("tonnage"), description=DESCRIPTION, routes=app.routes
        )
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = Problem.model_json_schema(ref_template=_REF + "{model}")
        schemas.update(problem.pop("$defs"), Problem=problem)
        budgets = list(app.state.service.settings.budgets)
        schemas["StudyRequest"]["properties"]["budget"]["enum"] = budgets
        needs_keys = app.state.service.needs_keys
        if needs_keys:
            document["components"]["securitySchemes"] = {"key": _KEY}
        for path, operations in document["paths"].items():
            for method in _METHODS:
                if method in operations:
                    _complete(path, method, operations[method], needs_keys)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any], needs_keys: bool) -> None:
    responses = operation["responses"]
    for kind in _everywhere(path, method, operation, needs_keys):
        entry = responses.setdefault(str(kind.status), {})
        slugs = entry.setdefault("x-problems", [])
        if kind.slug not in slugs:
            slugs.append(kind.slug)
    for status, entry in responses.items():
        if "x-problems" in entry:
            _show_problems(entry, [TYPES[slug] for slug in entry.pop("x-problems")])
        elif status == "200" and method == "get" and path.startswith("/v1/"):
            entry["headers"] = {"ETag": {"schema": {"type": "string"}}}
    if method == "get" and "headers" in responses.get("200", {}):
        responses["304"] = {"description": "Unchanged since the `ETag` in `If-None-Match`."}
    operation["responses"] = dict(sorted(responses.items()))
    if needs_keys and path not in PUBLIC:
        operation["security"] = [{"key": []}]


def _everywhere(
    path: str, method: str, operation: dict[str, Any], needs_keys: bool
) -> list[ProblemType]:
    """What any route may answer without declaring it."""
    kinds = [types.WRONG_HOST, types.INTERNAL]
    if path not in PUBLIC:
        kinds += [types.TOO_MANY_REQUESTS, types.UNAVAILABLE]
    if path not in PUBLIC and needs_keys:
        kinds += [types.NOT_AUTHENTICATED, types.SCOPE_MISSING]
    if method != "get":
        kinds += [types.FOREIGN_ORIGIN]
    if "requestBody" in operation:
        kinds += [types.MALFORMED_BODY, types.REQUEST_TIMEOUT, types.BODY_TOO_LARGE]
    if path.startswith("/v1/") or "requestBody" in operation or operation.get("parameters"):
        kinds += [types.INVALID_REQUEST]
    return kinds


def _show_problems(entry: dict[str, Any], kinds: list[ProblemType]) -> None:
    entry["description"] = "; ".join(kind.title for kind in kinds) + "."
    entry["content"] = {
        MEDIA_TYPE: {
            "schema": {"$ref": _REF + "Problem"},
            "examples": {kind.slug: {"value": _example(kind)} for kind in kinds},
        }
    }
    if any(kind in (types.TOO_MANY_REQUESTS, types.UNAVAILABLE) for kind in kinds):
        entry["headers"] = {
            "Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait."}
        }


def _example(kind: ProblemType) -> dict[str, Any]:
    error = HttpProblem(kind, "What happened, to which thing.")
    return document_of(error, "/v1/…", "8f14e45fceea467a")
