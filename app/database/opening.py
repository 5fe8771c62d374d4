"""Opening the database: its folder, its connections, its schema."""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import NoSuchModuleError

from app.database.engine import BUSY_TIMEOUT_S, WRITING, Database
from app.database.errors import explained
from app.database.migrate import bring_up_to_date
from app.database.url import connectable, is_sqlite, parse_url, shown, sqlite_file
from probes.errors import InputError

POOL_SIZE = 16
"""Connections that are kept, at most; they are opened as they are needed."""


def open_database(
    url: str, *, migrate: bool = True, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> Database:
    """Open, create where needed, and bring the schema up to date.

    ``migrate=False`` leaves the schema alone (``tonnage db current``). ``busy_timeout_s`` is how
    long SQLite waits for another process that writes. Raises ``InputError`` for a
    bad URL, a missing driver, a file that is no database, a folder that cannot be written to, or
    a database newer than this code; ``MeasurementError`` for a server that does not answer.
    """
    parsed = parse_url(url)
    _make_folder(parsed)
    database = Database(_engine(parsed, busy_timeout_s), parsed)
    try:
        with explained(parsed), database.engine.connect():
            pass
        if migrate:
            bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return database


def _make_folder(url: URL) -> None:
    file = sqlite_file(url)
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Database {file}: the folder {file.parent} cannot be made ({error.strerror}). Name "
            "another file with --database or database_url in tonnage.toml."
        ) from None
    if file.is_dir():
        raise InputError(f"Database {file} is a folder. Name a file in it, such as tonnage.db.")


def _engine(url: URL, busy_timeout_s: float) -> Engine:
    file = sqlite_file(url)
    if file is not None:
        url = url.set(database=str(file))
    options: dict[str, Any] = {"pool_pre_ping": True}
    if is_sqlite(url):
        options = {"connect_args": {"timeout": busy_timeout_s, "check_same_thread": False}}
    options |= {"pool_size": POOL_SIZE, "max_overflow": POOL_SIZE}
    try:
        engine = create_engine(connectable(url), **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise InputError(
            f"Database {shown(url)}: the driver for PostgreSQL is not installed ({error}). "
            "Install it with: pip install 'tonnage[postgres]'"
        ) from None
    if is_sqlite(url):
        event.listen(engine, "connect", partial(_set_up_sqlite, busy_timeout_s=busy_timeout_s))
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any, *, busy_timeout_s: float) -> None:
    # Python's driver would begin transactions by itself, too late and not for every statement.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")
    _switch_to_wal(connection)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Once per file. The busy timeout does not cover this switch, so it is tried again."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0].lower() != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
