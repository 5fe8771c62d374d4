"""A consistent copy of the whole database while it is in use. The file appears when complete."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from app.database import Database
from app.database.errors import explained
from app.database.url import sqlite_file
from probes.errors import InputError, MeasurementError

PAGES = 1000
"""SQLite pages copied at a time."""


def back_up(database: Database, path: Path) -> int:
    """Copy the database into a new file; returns its size in bytes.

    For SQLite it is a checked database file, ready to use; for PostgreSQL it is what ``pg_dump``
    writes in its custom format, for ``pg_restore``. Raises
    ``InputError`` for a file that exists or cannot be written, and where ``pg_dump`` is not
    installed.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))  # it holds what the database holds
    except FileExistsError:
        raise InputError(f"{path} exists. Name a new file: a backup never replaces one.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL, 0o600))
        if database.is_sqlite:
            _copy_sqlite(database, part)
        else:
            _dump_postgresql(database.url, part)
        _sync(part)
        part.replace(path)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path} cannot be written: {error.strerror}.") from None
        raise
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size


def _copy_sqlite(database: Database, part: Path) -> None:
    """Uses SQLite's own backup, which includes the write-ahead log and lets others write in the
    meantime. The copy is one file without a log."""
    file = sqlite_file(database.url)
    if file is None:
        raise InputError(f"{database.shown_url}: name a file to back it up.")
    try:
        with (
            closing(sqlite3.connect(file, timeout=30)) as source,
            closing(sqlite3.connect(part)) as copy,
        ):
            source.backup(copy, pages=PAGES)
            copy.execute("PRAGMA journal_mode=DELETE")
            (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise MeasurementError(f"{database.shown_url} could not be copied: {error}.") from None
    if verdict != "ok":
        raise MeasurementError(
            f"{database.shown_url} is damaged ({verdict}), and so is every copy: nothing was "
            "written. Try: sqlite3 FILE .recover | sqlite3 NEW_FILE"
        )


def _dump_postgresql(url: URL, part: Path) -> None:
    program = shutil.which("pg_dump")
    where = (url.username, None, url.host, url.port, url.database, url.query)
    address = URL.create("postgresql", *where).render_as_string()
    if program is None:
        raise InputError(
            "pg_dump is not installed here (Debian and Ubuntu: apt-get install postgresql-client). "
            f"Or run it where the server is: pg_dump --format=custom --file=FILE '{address}'"
        )
    environ = dict(os.environ)
    if url.password is not None:
        environ["PGPASSWORD"] = str(url.password)  # not on the command line, where all can read it
    ran = subprocess.run(
        [program, "--format=custom", f"--file={part}", f"--dbname={address}"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise MeasurementError(f"pg_dump ended with status {ran.returncode}: {ran.stderr.strip()}")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def compact(database: Database) -> str:
    """Give the space of deleted rows back to the disk; returns the reason if that failed.
    PostgreSQL does this by itself."""
    if not database.is_sqlite:
        return ""
    with explained(database.url), database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        try:
            driver.execute("VACUUM")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            return f"The file was not made smaller: {error}."
    return ""
