"""What routes declare for the API description: ids in their paths, and the problems they answer
with."""

from __future__ import annotations

from typing import Any

from fastapi import Path

from app.http.problem_types import ProblemType


def problems(*kinds: ProblemType) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route. Kinds with the same status share an entry;
    ``app.service.openapi`` adds the problems that every route may answer with."""
    declared: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = declared.setdefault(kind.status, {"description": "", "x-problems": []})
        entry["x-problems"].append(kind.slug)
        entry["description"] = "; ".join(filter(None, [entry["description"], kind.title]))
    return declared


def id_in_path(what: str, example: str) -> Any:
    """The path parameter of a route about one record; ``what`` is the record in words."""
    pattern = "^[0-9A-Za-z_]{1,40}$"
    return Path(pattern=pattern, description=f"Id of the {what}.", examples=[example])
