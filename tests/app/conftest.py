"""Real databases for the tests of ``app``: SQLite files, and PostgreSQL where one is named.

``TONNAGE_TEST_POSTGRES_URL`` names a server on which databases may be created; each test gets a
fresh one.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

import migrations
from app.database import Database, migrate, open_database
from app.database.models import Base
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
    name = f"tonnage_test_{uuid.uuid4().hex[:12]}"
    on_server(f"CREATE DATABASE {name}")
    yield server().set(database=name).render_as_string(hide_password=False)
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str, migrated_file: Path) -> Iterator[Database]:
    """The database, opened, with every table. Migrating anew for each test would take longest, so
    it gets what the migrations end in, which ``database/test_migrate.py`` shows to be the same."""
    url = make_url(database_url)
    if url.drivername.startswith("sqlite"):
        file = Path(str(url.database))
        file.parent.mkdir(parents=True)
        shutil.copyfile(migrated_file, file)
    else:
        _create_tables(url)
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with every table, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "tonnage.db"
    open_database(f"sqlite:///{file}").close()
    return file


def _create_tables(url: URL) -> None:
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            text(f"CREATE TABLE {migrate.VERSION_TABLE} (version_num VARCHAR(32) PRIMARY KEY)")
        )
        connection.execute(
            text(f"INSERT INTO {migrate.VERSION_TABLE} VALUES ('{migrations.HEAD}')")
        )
    engine.dispose()


def server() -> URL:
    return make_url(POSTGRES).set(drivername="postgresql+psycopg")


def on_server(statement: str) -> None:
    engine = create_engine(server(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
