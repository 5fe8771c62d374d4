"""Errors of the database as messages that say what happened and what to do.

They do not advise to run the command again: for ``tonnage run`` that would repeat the training.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.database.url import shown, sqlite_file
from probes.errors import InputError, MeasurementError, TonnageError
from probes.formatting import first_line


class DatabaseUnavailable(MeasurementError):
    """The database cannot be used now but may be later; the request itself was valid."""


_NAME_ANOTHER = "or name another with --database or database_url in tonnage.toml"

_SQLITE: tuple[tuple[str, type[TonnageError], str], ...] = (
    (
        "file is not a database",
        InputError,
        f"the file exists and is not an SQLite database. Move it away {_NAME_ANOTHER}.",
    ),
    (
        "malformed",
        MeasurementError,
        "the file is damaged. Keep a copy, then try: sqlite3 {file} .recover | sqlite3 NEW_FILE",
    ),
    (
        "unable to open",
        InputError,
        f"the file cannot be opened. Check that its folder exists and can be written to, "
        f"{_NAME_ANOTHER}.",
    ),
    (
        "readonly",
        InputError,
        f"it cannot be written to. Give write permission to the file and its folder, "
        f"{_NAME_ANOTHER}.",
    ),
    (
        "locked",
        DatabaseUnavailable,
        "another process holds its write lock. Find it with: fuser {file}; nothing can be stored "
        "until it is done. What was committed before is kept.",
    ),
    (
        "disk is full",
        DatabaseUnavailable,
        "the disk is full. What was committed before is kept; free some space.",
    ),
    (
        "disk i/o error",
        DatabaseUnavailable,
        "the disk reported an error (full, failing, or a network folder without file locks; "
        "keep the database on a local disk).",
    ),
    ("no such table", MeasurementError, "its tables are missing. Run: tonnage db upgrade"),
)

_POSTGRESQL: tuple[tuple[str, type[TonnageError], str], ...] = (
    ("password authentication failed", InputError, "user or password are wrong."),
    ("no password supplied", InputError, "the server asks for a password; put it in the URL."),
    ("does not exist", InputError, "the server has no such database or user; create it there."),
    ("permission denied", InputError, "the user may not do this; grant it CREATE on the schema."),
    (
        "no space left",
        DatabaseUnavailable,
        "the server's disk is full. What was committed before is kept; free some space there.",
    ),
    (
        "read-only transaction",
        DatabaseUnavailable,
        "the server takes no changes now: it is a standby, or about to be replaced by one.",
    ),
    ("deadlock", DatabaseUnavailable, "two processes waited for each other; try again."),
    ("connection", DatabaseUnavailable, f"the server does not answer. Start it {_NAME_ANOTHER}."),
)


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn errors of the driver into ours. Violated constraints pass: they are mistakes in code, or
    a race that the caller handles."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise in_words(url, error) from error


def in_words(url: URL, error: DBAPIError) -> TonnageError:
    """The known cause of a driver's error, otherwise the driver's own message."""
    said = str(error.orig or error).strip()
    known = _SQLITE if url.get_backend_name() == "sqlite" else _POSTGRESQL
    for sign, kind, text in known:
        if sign in said.lower():
            advice = text.format(file=shlex.quote(str(sqlite_file(url) or url.database)))
            return kind(f"Database {shown(url)}: {advice} ({_reason(said)})")
    kind = DatabaseUnavailable if error.connection_invalidated else MeasurementError
    return kind(f"Database {shown(url)}: {_reason(said)}")


def is_unavailable(url: URL, error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, means that the database cannot be used now."""
    while error is not None:
        explained_ = in_words(url, error) if isinstance(error, DBAPIError) else error
        if isinstance(explained_, DatabaseUnavailable):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(said: str) -> str:
    return first_line(said) or "no reason given"
