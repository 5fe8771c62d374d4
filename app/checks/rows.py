"""Plain SQL that is run in two ways: through SQLAlchemy in the service, and straight through
``sqlite3`` for a check that has to answer before SQLAlchemy would be imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from app.database.floats import decoded

Row = tuple[Any, ...]


class Rows(Protocol):
    """Runs a statement; named parameters are written ``:name``."""

    def __call__(self, sql: str, **parameters: Any) -> Sequence[Row]: ...


def each_of(prefix: str, values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """``:s0, :s1`` for an ``IN``, and the parameters that go with it."""
    parameters = {f"{prefix}{n}": value for n, value in enumerate(sorted(values))}
    return ", ".join(f":{name}" for name in parameters), parameters


def document_of(stored: Any) -> dict[str, Any]:
    """A JSON column: text in SQLite, read already from PostgreSQL."""
    found: dict[str, Any] = decoded(json.loads(stored) if isinstance(stored, str) else stored)
    return found
