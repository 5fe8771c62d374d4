"""Run by Alembic: with the connection it was given, or (for developers) the configured database."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

from app.database.migrate import VERSION_TABLE
from app.database.models import all_tables
from migrations.env_filter import ours


def plain_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Our column types are written into a new migration as what they are in the database."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=all_tables(),
        version_table=VERSION_TABLE,
        include_name=ours,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        render_item=plain_type,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    if context.is_offline_mode():
        context.configure(
            dialect_name="postgresql",
            target_metadata=all_tables(),
            version_table=VERSION_TABLE,
            literal_binds=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        return
    given = context.config.attributes.get("connection")
    if given is not None:
        run(given)
        return
    from app.database import open_database
    from app.settings import load_settings

    database = open_database(load_settings().database_url, migrate=False)
    with database.migrating() as connection:
        run(connection)


main()
