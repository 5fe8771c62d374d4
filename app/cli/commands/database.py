"""``tonnage db``: migrations, backup, export and import, deleting old results."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.cli.output import print_json, stderr
from app.cli.values import parse_age
from probes.errors import InputError
from probes.formatting import plural, size_text

app = typer.Typer(
    help="Upgrade, back up, export, import and prune the database.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("upgrade")
def upgrade(database: options.Database = None) -> None:
    """Upgrade the database to this version. Other commands do this automatically."""
    store = open_database(open_settings(), database)  # which migrates

    from app.database import migrate

    typer.echo(f"{store.shown_url}: at {migrate.current(store)}")


@app.command("current")
def current(database: options.Database = None, json_: options.Json = False) -> None:
    """Show the version of the database and the one needed.

    Exit status 1 if they differ.
    """
    url = database or open_settings().database_url

    from app.database import migrate, open_database
    from app.database.url import parse_url, shown, sqlite_file

    parsed, head = parse_url(url), migrate.head()
    file = sqlite_file(parsed)
    is_there = file is None or file.exists()
    here, tables = None, []
    if is_there:
        store = open_database(url, migrate=False)
        here, tables = migrate.current(store), migrate.foreign_tables(store)
    if json_:
        print_json({"url": shown(parsed), "current": here, "head": head})
    elif not is_there:
        typer.echo(f"There is no file {file}. Make the database with: {_upgrade(database)}")
    elif tables:
        typer.echo(migrate.foreign(store, tables))
    else:
        typer.echo(f"{shown(parsed)}: at {here or 'no version yet'}; this Tonnage needs {head}")
        if migrate.is_newer(here):
            typer.echo("A newer Tonnage wrote it. Install that version, or name another database.")
        elif here != head:
            typer.echo(f"Upgrade it with: {_upgrade(database)}")
    raise typer.Exit(0 if here == head else 1)


def _upgrade(database: str | None) -> str:
    """The command that upgrades this database; a password in its URL is masked."""
    from app.database.url import parse_url, shown

    if database is None:
        return "tonnage db upgrade"
    return f"tonnage db upgrade --database {shlex.quote(shown(parse_url(database)))}"


@app.command("prune")
def prune(
    older_than: Annotated[
        str, typer.Option(help="Delete what is older than this: 90d, 12w, 1y.", metavar="AGE")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be deleted.")
    ] = False,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Delete old results that nothing needs.

    These are ended jobs, studies without a recommendation, measurements that no remaining study
    uses, checks, fleet answers, fine-tunings that ended without a model, evidence of claims that
    were measured again, and bundles that no job has used since. Recommendations are kept, with
    their studies and measurements. An SQLite file is compacted afterwards.

    Example: tonnage db prune --older-than 90d --dry-run
    """
    age = parse_age(older_than)
    store = open_database(open_settings(), database)

    from app.clock import utc_now
    from app.retention import prune as pruning
    from app.retention.backup import compact

    before = utc_now() - age
    found = pruning.plan(store, before) if dry_run else pruning.prune(store, before)
    problem = "" if dry_run or not any(found.values()) else compact(store)
    if json_:
        print_json({"dry_run": dry_run, "before": before.isoformat(), **found})
    else:
        verb = "Would delete" if dry_run else "Deleted"
        typer.echo(f"{verb}, older than {older_than}: {_words(found)}.")
    if problem:
        stderr().print(problem, markup=False)


@app.command("backup")
def backup(
    path: Annotated[Path, typer.Argument(help="The file to write. It must not exist.")],
    database: options.Database = None,
) -> None:
    """Copy the whole database into a file, even while in use.

    The copy is a consistent snapshot. For SQLite it is a database file, ready to use; for
    PostgreSQL it is a pg_dump archive for pg_restore.

    Example: tonnage db backup /srv/backup/tonnage-2026-01-02.db
    """
    store = open_database(open_settings(), database)

    from app.retention.backup import back_up

    size_bytes = back_up(store, path.expanduser())
    typer.echo(f"{store.shown_url}: {size_text(size_bytes)} copied to {path}")


@app.command("export")
def export(
    file: Annotated[str, typer.Argument(help="The file to write, or - for stdout.")],
    database: options.Database = None,
) -> None:
    """Write all results as JSON lines, for another database.

    The file contains devices, workloads, studies, trials, measurements with their predictions,
    recommendations, fine-tunings with their events and rows, and evidence; no jobs, runners or
    keys.

    Example: tonnage db export results.jsonl
    """
    store = open_database(open_settings(), database)

    from app.retention.archive import export_results, new_file

    if file == "-":
        counts = export_results(store, sys.stdout)
    else:
        with new_file(Path(file).expanduser()) as output:
            counts = export_results(store, output)
    stderr().print(f"Exported {_words(counts)}", markup=False)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="A file written by db export, or - for stdin.")],
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Add results exported from another database.

    Importing a file again adds nothing; a study that has progressed elsewhere is updated.

    Example: tonnage db import results.jsonl --database postgresql://tonnage@db.example/tonnage
    """
    store = open_database(open_settings(), database)

    from app.retention.archive import import_results

    try:
        if file == "-":
            found = import_results(store, sys.stdin, "stdin")
        else:
            with Path(file).expanduser().open(encoding="utf-8") as lines:
                found = import_results(store, lines, file)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text.") from None
    if json_:
        print_json({"added": found.added, "known": found.known})
    else:
        typer.echo(f"Added {_words(found.added)}; skipped as existing: {_words(found.known)}")


def _words(counts: dict[str, int]) -> str:
    return ", ".join(_counted(count, kind) for kind, count in counts.items()) or "nothing"


def _counted(count: int, kind: str) -> str:
    """``1 study``, ``2 fleet answers``, of a kind in the singular (export) or plural (prune)."""
    noun = _NOUNS.get(kind, kind.replace("_", " ").removesuffix("s"))
    if noun == "study":
        return f"{count:,} {'study' if count == 1 else 'studies'}"
    return plural(count, noun)


_NOUNS = {
    "studies": "study",
    "finetuning": "fine-tuning",
    "finetunings": "fine-tuning",
    "finetuning_event": "fine-tuning event",
    "evidence": "measured claim",
}
