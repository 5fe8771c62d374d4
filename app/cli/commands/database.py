"""``tonnage db``: migrations."""

from __future__ import annotations

import typer

from app.cli import options
from app.cli.context import open_settings
from app.cli.output import print_json

app = typer.Typer(
    help="The database: bring it up to date, or say where it stands.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("upgrade")
def upgrade(database: options.Database = None) -> None:
    """Bring the database to this version. Other commands do it by themselves."""
    settings = open_settings()

    from app.database import migrate, open_database

    store = open_database(database or settings.database_url)  # which migrates
    typer.echo(f"{store.shown_url}: at {migrate.current(store)}")


@app.command("current")
def current(database: options.Database = None, json_: options.Json = False) -> None:
    """Say which version the database has, and which this Tonnage needs.

    Exit status 1 when they differ.
    """
    settings = open_settings()

    from app.database import migrate, open_database

    store = open_database(database or settings.database_url, migrate=False)
    here, head = migrate.current(store), migrate.head()
    if json_:
        print_json({"url": store.shown_url, "current": here, "head": head})
    else:
        typer.echo(f"{store.shown_url}: at {here or 'nothing yet'}, this version needs {head}")
        if here != head:
            typer.echo("Bring it up to date with: tonnage db upgrade")
    raise typer.Exit(0 if here == head else 1)
