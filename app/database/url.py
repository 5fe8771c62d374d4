"""Database URLs: checks what a person writes and turns it into a URL for SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from probes.errors import InputError

FORMS = "Write sqlite:///PATH (four slashes for an absolute path) or postgresql://USER@HOST/NAME."

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse_url(text: str) -> URL:
    """Raises ``InputError`` for an invalid URL, an unsupported database, or one in memory."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InputError(f"{_masked(text)!r} is not a database URL. {FORMS}") from None
    if url.drivername not in _DRIVERS:
        raise InputError(
            f"Database {shown(url)!r}: {url.drivername} is not supported; Tonnage keeps its "
            f"results in SQLite or PostgreSQL. {FORMS}"
        )
    url = url.set(drivername=_DRIVERS[url.drivername])
    if is_sqlite(url) and url.database in (None, "", ":memory:"):
        raise InputError(f"Database {shown(url)!r} is in memory: nothing would be kept. {FORMS}")
    return url


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite URL; ``None`` for another database or a ``file:`` URI."""
    if not is_sqlite(url) or not url.database or url.database.startswith("file:"):
        return None
    return Path(url.database).expanduser()


def connectable(url: URL) -> URL:
    """Adds the client encoding: a server that was set up without a locale has the encoding
    SQL_ASCII and would send bytes instead of text."""
    return url if is_sqlite(url) else url.update_query_dict({"client_encoding": "utf8"})


def shown(url: URL) -> str:
    """The URL without its password, for messages and logs, and without the driver that
    ``parse_url`` chose."""
    if url.drivername == _DRIVERS["postgresql"]:
        url = url.set(drivername="postgresql")
    return url.render_as_string(hide_password=True)


def _masked(text: str) -> str:
    """Text that could not be parsed may still hold a password: show nothing before an ``@``."""
    before, at, after = text.rpartition("@")
    return f"***@{after}" if at and before else text
