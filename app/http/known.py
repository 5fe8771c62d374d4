"""Names in a query that must exist."""

from __future__ import annotations

from app.http import problem_types as types
from app.http.problems import HttpProblem
from optimizer.budgets import Budget, budget_named
from probes.errors import InputError


def check_budget(name: str | None, budgets: dict[str, Budget]) -> None:
    """For a listing that found nothing. Raises ``HttpProblem`` (404) for a budget that does not
    exist: an empty page would say that it has no results."""
    if name is None:
        return
    try:
        budget_named(name, budgets)
    except InputError as error:
        raise HttpProblem(types.NOT_FOUND, str(error)) from None
