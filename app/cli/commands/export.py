"""``tonnage export``: a recommendation as configuration for a training script."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.context import absolute_spec, open_database, open_settings
from app.cli.output import write_file
from app.recommendations.exports.export import FORMATS

if TYPE_CHECKING:
    from app.database import Database
    from app.settings import Settings
    from optimizer.records import Recommendation


def export(
    recommendation: Annotated[
        str, typer.Argument(help="latest, or an id (its first characters are enough).")
    ] = "latest",
    to: Annotated[
        str, typer.Option("--to", help=f"{', '.join(FORMATS)}.", metavar="FORMAT")
    ] = "json",
    workload: Annotated[str | None, typer.Option(help="The latest for this workload.")] = None,
    budget: Annotated[str | None, typer.Option(help="The latest for this budget.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.")
    ] = None,
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="--check asks the interpreter that trains whether it is still valid here, and "
            "exits with status 1 if not; --no-check does not look. Default: warn of known changes.",
        ),
    ] = None,
    python: options.Python = None,
    database: options.Database = None,
) -> None:
    """Print a stored recommendation as configuration.

    Values that a format cannot express are listed in its comments, or on stderr if it has none.
    A recommendation that is known to be no longer valid on this machine is printed with a warning.

    Example: python train.py $(tonnage export latest --to args)
    """
    settings = open_settings()
    store = open_database(settings, database)

    from app.recommendations.exports.export import export as render
    from app.recommendations.service import chosen

    spec = absolute_spec(workload) if workload else None
    found = chosen(store, recommendation, workload=spec, budget=budget)
    scale = found.study.get("time_scale", 1.0)
    if scale != 1.0:
        note = f"Note: {found.id} was made with --time-scale {scale:g}, not for the real budget."
        print(note, file=sys.stderr)
    if check is not False:
        reasons = _reasons(settings, store, found, python, ask=bool(check))
        for reason in reasons:
            print(f"Warning: {found.id} is no longer valid here. {reason}", file=sys.stderr)
        if check and reasons:
            raise typer.Exit(1)
    made = render(found, to)
    if not made.says_so:
        for sentence in made.unsaid:
            print(f"Note: {sentence}", file=sys.stderr)
    if output is None:
        sys.stdout.write(made.text)
    else:
        write_file(output, made.text)


def _reasons(
    settings: Settings, store: Database, found: Recommendation, python: str | None, *, ask: bool
) -> list[str]:
    """Why it is no longer valid here: as a worker says it (``ask``), or else as far as is known."""
    from app.validity import disk_cache, worker

    if ask:
        return worker.validities(settings, store, [found], python)[0].reasons
    known = disk_cache.validity(settings, store, found, python)
    return known.reasons if known else []
