"""One page of a listing, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select
from sqlalchemy.sql.expression import SQLColumnExpression

Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])


def newest_first(
    statement: Statement,
    key: SQLColumnExpression[Any],
    wanted: Mapping[Any, object],
    *,
    before: str | int | None = None,
    limit: int,
) -> Statement:
    """``statement`` in descending order of ``key``, at most ``limit`` rows of it.

    For ``wanted`` see ``equal_to``; ``before`` is the key of the last row of the previous page.
    """
    conditions = equal_to(wanted)
    if before is not None:
        conditions.append(key < before)
    return statement.where(*conditions).order_by(key.desc()).limit(limit)


def equal_to(wanted: Mapping[Any, object]) -> list[ColumnElement[bool]]:
    """Conditions for columns, by the value that each must have; ``None`` means any."""
    return [column == value for column, value in wanted.items() if value is not None]
