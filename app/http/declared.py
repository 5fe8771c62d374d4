"""Declaring in the interface's description which problems a route answers with."""

from __future__ import annotations

from typing import Any

from app.http.problem_types import ProblemType


def problems(*kinds: ProblemType) -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of a route. What every route may answer is added by
    ``app.service.openapi``; kinds with one status share an entry."""
    declared: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = declared.setdefault(kind.status, {"description": "", "x-problems": []})
        entry["x-problems"].append(kind.slug)
        entry["description"] = "; ".join((*filter(None, [entry["description"]]), kind.title)) + ""
    return declared
