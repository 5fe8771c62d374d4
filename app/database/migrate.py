"""Migrations from code: the same on a developer's clone and an installed wheel.

The scripts are the importable package ``migrations``. Each run is one transaction that holds the
database's write lock, so two processes starting at once do not migrate at once, and a migration
that fails leaves the database as it was.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

import migrations
from app.database.engine import Database
from app.database.errors import explained
from app.database.models.base import PREFIX
from probes.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "tonnage_alembic_version"
"""Not Alembic's default: another program may own a table of that name in the same database."""

_LOCK_NUMBER = 0x746F6E6E616765
"""Number of PostgreSQL's advisory lock around a migration ("tonnage" in ASCII)."""

log = logging.getLogger(__name__)


def head() -> str:
    """The revision this code needs."""
    return migrations.HEAD


def current(database: Database) -> str | None:
    """The revision the database is at; ``None`` for one without our tables."""
    with explained(database.url), database.engine.connect() as connection:
        return _current(connection)


def is_current(database: Database) -> bool:
    """Whether the database is exactly at the revision this code needs."""
    return current(database) == head()


def is_newer(revision: str | None) -> bool:
    """Whether a newer Tonnage made this revision."""
    from alembic.script import ScriptDirectory

    folder = Path(migrations.__file__).parent
    known = {script.revision for script in ScriptDirectory(str(folder)).walk_revisions()}
    return revision is not None and revision not in known


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate up. Raises ``InputError`` for a database newer than this code."""
    from alembic import command

    with database.migrating() as connection:
        _lock(connection)
        _refuse_newer(database, _current(connection))
        _refuse_foreign(database, connection)
        command.upgrade(_config(connection), revision)
        _check_references(connection)


def downgrade(database: Database, revision: str) -> None:
    """Migrate down; data that the older schema has no place for is lost (``"base"``: all data)."""
    from alembic import command

    with database.migrating() as connection:
        _lock(connection)
        _refuse_newer(database, _current(connection))
        command.downgrade(_config(connection), revision)
        _check_references(connection)


def bring_up_to_date(database: Database) -> None:
    """Upgrade unless the database is current already, which needs one query and no Alembic."""
    before = current(database)
    if before == head():
        return
    upgrade(database)
    if before is not None:
        log.info("Database %s migrated from %s to %s.", database.shown_url, before, head())


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    folder = Path(migrations.__file__).parent
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def _refuse_newer(database: Database, revision: str | None) -> None:
    if is_newer(revision):
        raise InputError(
            f"Database {database.shown_url} was written by a newer Tonnage (revision {revision}; "
            f"this one knows up to {head()}). Install the newer version, or name another database "
            "with --database."
        )


def foreign_tables(database: Database) -> list[str]:
    """Tables with names like ours in a database that no release of Tonnage has made."""
    with explained(database.url), database.engine.connect() as connection:
        return _foreign_tables(connection)


def _foreign_tables(connection: Connection) -> list[str]:
    names = inspect(connection).get_table_names()
    return [] if VERSION_TABLE in names else sorted(n for n in names if n.startswith(PREFIX))


def foreign(database: Database, tables: list[str]) -> str:
    """What to say about them."""
    return (
        f"Database {database.shown_url} has tables that Tonnage did not make or whose version is "
        f"gone ({', '.join(tables)}; there is no {VERSION_TABLE}). Restore it from a backup, or "
        "name another database with --database or database_url in tonnage.toml."
    )


def _refuse_foreign(database: Database, connection: Connection) -> None:
    if found := _foreign_tables(connection):
        raise InputError(foreign(database, found))


def _lock(connection: Connection) -> None:
    """SQLite's transaction already holds the lock; PostgreSQL needs an advisory lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK_NUMBER})


def _check_references(connection: Connection) -> None:
    """Foreign keys are off on SQLite during a migration, so check them before the commit."""
    if connection.dialect.name == "sqlite":
        broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
        if broken:
            raise MeasurementError(
                f"The migration would leave {len(broken)} rows referring to rows that are gone "
                f"(the first in table {broken[0][0]}). Nothing was changed; report this as a bug."
            )
