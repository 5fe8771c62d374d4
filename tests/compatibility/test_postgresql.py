"""What the last release stored on PostgreSQL is there after the migrations since."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, DateTime, MetaData, Table, insert
from sqlalchemy.types import JSON

from app.database import migrate, open_database
from tests.app.conftest import POSTGRES, new_name, on_server, on_this_server
from tests.compatibility.compare import missing
from tests.compatibility.released import answer, golden, serving
from tests.compatibility.restore import restore

RELEASED = "0006"
"""The revision of the last release."""
PREFIX = "tonnage_"

pytestmark = pytest.mark.skipif(not POSTGRES, reason="needs TONNAGE_TEST_POSTGRES_URL")


@pytest.fixture
def url() -> Iterator[str]:
    name = new_name()
    on_server(f"CREATE DATABASE {name}")
    yield on_this_server(name)
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_of_the_last_release_answers_as_before(url: str, tmp_path: Path) -> None:
    restore(tmp_path / "released.db")
    _fill(url, tmp_path / "released.db")
    answers = golden("http")
    with serving(url, tmp_path / "home") as client:
        found = {
            path: lacking
            for path in answers
            if (lacking := list(missing(answers[path], answer(client, path))))
        }
    assert found == {}


def _fill(url: str, file: Path) -> None:
    """The tables of the last release, with the rows of an SQLite file."""
    database = open_database(url, migrate=False)
    migrate.upgrade(database, RELEASED)
    tables = MetaData()
    tables.reflect(database.engine)
    with closing(sqlite3.connect(file)) as source, database.write() as session:
        source.row_factory = sqlite3.Row
        for table in tables.sorted_tables:
            if table.name.startswith(PREFIX) and table.name != migrate.VERSION_TABLE:
                rows = source.execute(f"SELECT * FROM {table.name}").fetchall()
                for row in rows:
                    session.execute(insert(table), _values(table, dict(row)))
    database.close()


def _values(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    for column in table.columns:
        value = row[column.name]
        if value is None:
            continue
        if isinstance(column.type, JSON):
            row[column.name] = json.loads(value)
        elif isinstance(column.type, Boolean):
            row[column.name] = bool(value)
        elif isinstance(column.type, DateTime):
            row[column.name] = datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    return row
