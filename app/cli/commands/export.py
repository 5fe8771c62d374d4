"""``tonnage export``: the recommendation in the form a training script reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.recommendations.exports.formats import FORMATS
from probes.errors import InputError

if TYPE_CHECKING:
    from app.database import Database
    from app.settings import Settings
    from optimizer.records import Recommendation


def export(
    recommendation: Annotated[
        str,
        typer.Argument(help="latest, or an id (its first characters are enough)."),
    ] = "latest",
    to: Annotated[
        str, typer.Option("--to", help=f"{', '.join(FORMATS)}.", metavar="FORMAT")
    ] = "json",
    workload: Annotated[
        str | None, typer.Option(help="The latest of this workload.", show_default=False)
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="The latest of this budget.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file.", show_default=False),
    ] = None,
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="Ask the interpreter that trains whether it still holds here, and end with "
            "status 1 where it does not; or do not look at all. Default: warn of what is known.",
            show_default=False,
        ),
    ] = None,
    python: options.Python = None,
    database: options.Database = None,
) -> None:
    """Print a stored recommendation as configuration.

    What a format cannot express is in its comments, or on stderr where it has none. One that is
    known not to hold any more on this machine is printed with a warning.

    Example: python train.py $(tonnage export latest --to args)
    """
    settings = open_settings()
    store = open_database(settings, database)

    from app.cli.context import absolute_spec
    from app.recommendations.exports.export import export as render
    from app.recommendations.service import chosen

    spec = absolute_spec(workload) if workload else None
    found = chosen(store, recommendation, workload=spec, budget=budget)
    scale = found.study.get("time_scale", 1.0)
    if scale != 1.0:
        note = f"Note: {found.id} is for a window scaled by {scale:g}, not for the real budget."
        print(note, file=sys.stderr)
    if check is not False:
        changes = _changes(settings, store, found, python, ask=bool(check))
        for reason in changes:
            print(f"Warning: {found.id} does not hold here any more. {reason}", file=sys.stderr)
        if check and changes:
            raise typer.Exit(1)
    made = render(found, to)
    if not made.says_so:
        for sentence in made.unsaid:
            print(f"Note: {sentence}", file=sys.stderr)
    if output is None:
        sys.stdout.write(made.text)
        return
    try:
        output.write_text(made.text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from None


def _changes(
    settings: Settings,
    store: Database,
    found: Recommendation,
    python: str | None,
    *,
    ask: bool,
) -> list[str]:
    """Why it no longer holds here; as far as it is known, or (``ask``) asked for in a worker."""
    if ask:
        from app.recommendations.check import check_validity

        return check_validity(settings, store, [found], python)[0].reasons
    from app.recommendations.known import known_changes

    return known_changes(settings, store, found, python)
