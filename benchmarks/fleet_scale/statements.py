"""Counts what is asked of a database: statements, and the transactions that they are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from app.database import Database


@dataclass
class Asked:
    """What has been asked so far."""

    statements: int = 0
    commits: int = 0

    def __sub__(self, other: Asked) -> Asked:
        return Asked(self.statements - other.statements, self.commits - other.commits)

    def copy(self) -> Asked:
        return Asked(self.statements, self.commits)


@contextmanager
def counting(database: Database) -> Iterator[Asked]:
    """Counts everything that is asked through this ``Database`` object until the block ends; what
    other processes ask is not seen."""
    asked = Asked()

    def statement(connection: Any, cursor: Any, text: str, *_: Any) -> None:
        asked.statements += not text.startswith("BEGIN")  # which only SQLite's driver shows

    def commit(*_: Any) -> None:
        asked.commits += 1

    listeners = [("before_cursor_execute", statement), ("commit", commit)]
    for name, listener in listeners:
        event.listen(database.engine, name, listener)
    try:
        yield asked
    finally:
        for name, listener in listeners:
            event.remove(database.engine, name, listener)
