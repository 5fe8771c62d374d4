"""``tonnage export``: the recommendation in the form a training script reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from probes.errors import InputError


def export(
    recommendation: Annotated[
        str,
        typer.Argument(help="latest, or an id (its first characters are enough)."),
    ] = "latest",
    to: Annotated[str, typer.Option("--to", help="json, yaml, toml, env or args.")] = "json",
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
    database: options.Database = None,
) -> None:
    """Print a stored recommendation as configuration.

    Example: python train.py $(tonnage export latest --to args)
    """
    settings = open_settings()
    store = open_database(settings, database)

    from app.cli.context import absolute_spec
    from app.recommendations.export import export as render
    from app.recommendations.service import chosen

    spec = absolute_spec(workload) if workload else None
    found = chosen(store, recommendation, workload=spec, budget=budget)
    scale = found.study.get("time_scale", 1.0)
    if scale != 1.0:
        note = f"Note: {found.id} is for a window scaled by {scale:g}, not for the real budget."
        print(note, file=sys.stderr)
    text = render(found, to).rstrip("\n") + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from None
