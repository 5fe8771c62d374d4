"""Opening the database, and the two kinds of transactions: reading and writing.

SQLite runs with write-ahead logging, so that readers and the writer do not wait for each other.
A writing transaction takes the write lock when it begins (``BEGIN IMMEDIATE``): one that reads
first and wants to write later would be refused at once, busy timeout or not, if another process
had written in between.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.orm import Session, sessionmaker

from app.database.errors import explained
from app.database.unchanged import Unchanged
from app.database.url import connectable, is_sqlite, parse_url, shown, sqlite_file
from probes.errors import InputError, MeasurementError

BUSY_TIMEOUT_S = 30.0
POOL_SIZE = 16
"""Connections kept, at most; opened as they are needed."""
_WRITING = "tonnage_writing"


@dataclass(frozen=True)
class Database:
    """An open database. Cheap to share between threads, not between processes."""

    engine: Engine
    url: URL
    _turn: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    """SQLite has one writer. Its busy timeout polls, and under load lets some wait for ever; the
    threads of one process queue up here instead."""

    @property
    def is_sqlite(self) -> bool:
        return is_sqlite(self.url)

    @property
    def shown_url(self) -> str:
        """Without the password."""
        return shown(self.url)

    @property
    def full_url(self) -> str:
        """With the password: for handing to another process, never for showing."""
        return connectable(self.url).render_as_string(hide_password=False)

    @cached_property
    def _readers(self) -> sessionmaker[Session]:
        return sessionmaker(self.engine, expire_on_commit=False)

    @cached_property
    def _writers(self) -> sessionmaker[Session]:
        engine = self.engine.execution_options(**{_WRITING: True})
        return sessionmaker(engine, expire_on_commit=False)

    @cached_property
    def unchanged(self) -> Unchanged:
        """For what is read again and again and hardly ever changes."""
        return Unchanged(sqlite_file(self.url))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent look at the database. Nothing written in it is kept."""
        with explained(self.url), self._readers() as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Many looks at the database as it was at the first one, however long they take."""
        engine = self.engine
        if not self.is_sqlite:  # where every transaction that reads is one
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with explained(self.url), Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One unit of work: committed when the block ends, rolled back when it raises."""
        with self._own_turn(), explained(self.url), self._writers.begin() as session:
            yield session

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise MeasurementError(
                f"Database {self.shown_url}: writes before this one have taken more than "
                f"{BUSY_TIMEOUT_S:g} s. Try again; what was committed before is kept."
            )
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A connection holding the right to change the schema, alone, in one transaction."""
        with explained(self.url), self.engine.connect() as connection:
            if self.is_sqlite:
                # SQLite changes a table by building it anew, which must not cascade. The
                # setting is ignored inside a transaction, hence on the driver's connection.
                _pragma(connection, "foreign_keys=OFF")
            try:
                with connection.execution_options(**{_WRITING: True}).begin():
                    yield connection
            finally:
                if self.is_sqlite:
                    _pragma(connection, "foreign_keys=ON")

    def close(self) -> None:
        self.unchanged.close()
        self.engine.dispose()


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
            from app.database import migrate as migrations

            migrations.bring_up_to_date(database)
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
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _pragma(connection: Connection, text: str) -> None:
    driver = connection.connection.driver_connection
    if driver is None:
        raise MeasurementError("The database connection was lost; run the command again.")
    driver.execute(f"PRAGMA {text}")
