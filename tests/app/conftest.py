"""Real databases for the tests of ``app``: SQLite files, and PostgreSQL where one is named.

``TONNAGE_TEST_POSTGRES_URL`` names a server on which databases may be created; each test gets a
fresh one.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from app.database import Database, open_database
from tests.app.serving import api, serve, start_service, with_key

__all__ = ["api", "serve", "start_service", "with_key"]  # fixtures for every folder

POSTGRES = os.environ.get("TONNAGE_TEST_POSTGRES_URL", "")
KINDS = ["sqlite", "postgresql"] if POSTGRES else ["sqlite"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the settings and data of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("TONNAGE_")]:
        monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'results' / 'tonnage.db'}"


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[str]:
    """An empty database of each kind there is."""
    if request.param == "sqlite":
        yield sqlite_url
        return
    server = make_url(POSTGRES).set(drivername="postgresql+psycopg")
    name = f"tonnage_test_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()
