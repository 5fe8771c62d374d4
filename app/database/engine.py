"""The open database, and the two kinds of transactions: reading and writing.

SQLite runs with write-ahead logging, so that readers and the writer do not wait for each other.
A writing transaction takes the write lock when it begins (``BEGIN IMMEDIATE``): one that reads
first and wants to write later would be refused at once, busy timeout or not, if another process
had written in between.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.orm import Session, sessionmaker

from app.database.errors import explained
from app.database.unchanged import Unchanged
from app.database.url import is_sqlite, shown, sqlite_file
from probes.errors import MeasurementError

BUSY_TIMEOUT_S = 30.0
WRITING = "tonnage_writing"
"""Execution option of a connection whose transactions write."""


@dataclass(frozen=True)
class Database:
    """An open database. Cheap to share between threads, not between processes."""

    engine: Engine
    url: URL
    _turn: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    """SQLite has one writer. Its busy timeout polls, and some writers would never get their turn
    under load; so the threads of one process queue up here instead."""

    @property
    def is_sqlite(self) -> bool:
        return is_sqlite(self.url)

    @property
    def shown_url(self) -> str:
        """Without the password."""
        return shown(self.url)

    @property
    def full_url(self) -> str:
        """With the password: for handing to another process, never for showing. A database that is
        opened by it has the same ``shown_url``."""
        return self.url.render_as_string(hide_password=False)

    @cached_property
    def _readers(self) -> sessionmaker[Session]:
        return sessionmaker(self.engine, expire_on_commit=False)

    @cached_property
    def _writers(self) -> sessionmaker[Session]:
        engine = self.engine.execution_options(**{WRITING: True})
        return sessionmaker(engine, expire_on_commit=False)

    @cached_property
    def unchanged(self) -> Unchanged:
        """A cache for data that is read often and rarely changes."""
        return Unchanged(sqlite_file(self.url))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One reading transaction. Nothing that is written in it is kept."""
        with explained(self.url), self._readers() as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A reading transaction that sees the database as of its first query until it ends."""
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
                f"{BUSY_TIMEOUT_S:g} s. Try again; everything committed before is kept."
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
                # SQLite changes a table by rebuilding it, which must not cascade. The setting
                # is ignored inside a transaction, so it is made on the driver's connection.
                _pragma(connection, "foreign_keys=OFF")
            try:
                with connection.execution_options(**{WRITING: True}).begin():
                    yield connection
            finally:
                if self.is_sqlite:
                    _pragma(connection, "foreign_keys=ON")

    def close(self) -> None:
        self.unchanged.close()
        self.engine.dispose()


def _pragma(connection: Connection, text: str) -> None:
    driver = connection.connection.driver_connection
    if driver is None:
        raise MeasurementError("The database connection was lost; run the command again.")
    driver.execute(f"PRAGMA {text}")
