"""Real databases for the tests of ``app``: SQLite files, and PostgreSQL where one is named.

``TONNAGE_TEST_POSTGRES_URL`` names a server on which databases may be created; each test gets an
empty one.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, inspect, make_url, text

import migrations
from app.database import Database, migrate, open_database
from app.database.models import all_tables
from app.database.url import connectable, parse_url
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
def kind(request: pytest.FixtureRequest) -> str:
    """``sqlite``, then ``postgresql`` where there is one."""
    return str(request.param)


@pytest.fixture
def database_url(kind: str, sqlite_url: str) -> Iterator[str]:
    """An empty database of each kind there is."""
    if kind == "sqlite":
        yield sqlite_url
        return
    name = new_name()
    on_server(f"CREATE DATABASE {name}")
    yield on_this_server(name)
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(
    kind: str, sqlite_url: str, migrated_file: Path, request: pytest.FixtureRequest
) -> Iterator[Database]:
    """The database, opened, with every table. Migrating anew for each test would take longest, so
    it gets what the migrations end in, which ``database/test_migrate.py`` shows to be the same."""
    if kind == "sqlite":
        file = Path(str(make_url(sqlite_url).database))
        file.parent.mkdir(parents=True)
        shutil.copyfile(migrated_file, file)
        url = sqlite_url
    elif "database_url" in request.fixturenames:
        url = request.getfixturevalue("database_url")
        _create_tables(make_url(url))
    else:
        url = request.getfixturevalue("shared_server_url")
        _empty_tables(make_url(url))
    opened = open_database(url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_server_url() -> Iterator[str]:
    """A PostgreSQL database with every table, emptied for each test that needs no other: making a
    new one takes longer than most tests."""
    name = new_name()
    on_server(f"CREATE DATABASE {name}")
    url = on_this_server(name)
    _create_tables(make_url(url))
    yield url
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with every table, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "tonnage.db"
    open_database(f"sqlite:///{file}").close()
    return file


def _create_tables(url: URL) -> None:
    engine = create_engine(url)
    all_tables().create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            text(f"CREATE TABLE {migrate.VERSION_TABLE} (version_num VARCHAR(32) PRIMARY KEY)")
        )
        connection.execute(
            text(f"INSERT INTO {migrate.VERSION_TABLE} VALUES ('{migrations.HEAD}')")
        )
    engine.dispose()


EMPTY = ";".join(
    [f"DELETE FROM {table}" for table in reversed(all_tables().sorted_tables)]
    + ["SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"]
)
"""TRUNCATE makes new files for every table and index, which takes five times as long as deleting
the few rows of a test."""


def _empty_tables(url: URL) -> None:
    """Whoever is still connected, such as a process that a test has killed, is thrown out. Where a
    test has left other tables than it found, they are made again."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        names = set(inspect(connection).get_table_names())
        is_ours = names >= {*all_tables().tables, migrate.VERSION_TABLE}
        if is_ours:
            version = connection.scalar(text(f"SELECT version_num FROM {migrate.VERSION_TABLE}"))
            is_ours = version == migrations.HEAD
        if is_ours:
            connection.execute(text(EMPTY))
        else:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    if not is_ours:
        _create_tables(url)


def new_name() -> str:
    return f"tonnage_test_{uuid.uuid4().hex[:12]}"


def on_this_server(name: str) -> str:
    return server().set(database=name).render_as_string(hide_password=False)


def server() -> URL:
    return connectable(parse_url(POSTGRES))


def on_server(statement: str) -> None:
    engine = create_engine(server(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
