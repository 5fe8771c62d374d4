"""Pages of a listing, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import ExecutableOption
from sqlalchemy.sql.expression import SQLColumnExpression

from app.database.models.base import Base

Row = TypeVar("Row", bound=Base)
Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])


def page(
    session: Session,
    table: type[Row],
    *,
    before: str | int | None = None,
    limit: int,
    options: Sequence[ExecutableOption] = (),
    **wanted: object,
) -> list[Row]:
    """Rows of a table in descending order of their ids. ``wanted`` gives the value that a column
    must have, by its name; ``None`` means any. ``before`` is the id where the previous page ended.
    """
    key: Any = table.id  # type: ignore[attr-defined]  # every table with a listing has one
    columns = {getattr(table, name): value for name, value in wanted.items()}
    statement = select(table).options(*options)
    statement = newest_first(statement, key, columns, before=before, limit=limit)
    return list(session.execute(statement).scalars())


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
