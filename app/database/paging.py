"""One page of a listing, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.sql.expression import SQLColumnExpression

Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])


def newest_first(
    statement: Statement,
    key: SQLColumnExpression[Any],
    wanted: Mapping[Any, object],
    *,
    before: str | int | None,
    limit: int,
) -> Statement:
    """``statement`` in descending order of ``key``, at most ``limit`` rows of it.

    ``wanted`` maps columns to the value that they must have; ``None`` means any. ``before`` is the
    key of the last row of the previous page.
    """
    conditions = [column == value for column, value in wanted.items() if value is not None]
    if before is not None:
        conditions.append(key < before)
    return statement.where(*conditions).order_by(key.desc()).limit(limit)
