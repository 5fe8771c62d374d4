"""``tonnage report``: a recommendation as one HTML file to send or keep."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.context import absolute_spec, open_database, open_settings
from probes.errors import InputError


def report(
    recommendation: Annotated[
        str,
        typer.Argument(
            help="latest, or the id of a recommendation (its first characters are enough)."
        ),
    ] = "latest",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write or replace; - for stdout.")
    ] = Path("report.html"),
    workload: Annotated[
        str | None, typer.Option(help="With latest: the newest one for this workload.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="With latest: the newest one for this budget.")
    ] = None,
    database: options.Database = None,
) -> None:
    """Write a recommendation as one self-contained HTML page.

    The page contains what the dashboard shows: evidence, alternatives, prediction accuracy and
    every export format. It opens without a network and without a running service.

    Example: tonnage report latest --output report.html
    """
    settings = open_settings()
    store = open_database(settings, database)

    from app.dashboard.report import report as render
    from app.dashboard.views.recommendation import view
    from app.recommendations.service import chosen

    spec = absolute_spec(workload) if workload else None
    found = chosen(store, recommendation, workload=spec, budget=budget)
    text = render(view(store, found))
    if str(output) == "-":
        sys.stdout.write(text)
        return
    _write(output, text)
    size_kib = len(text.encode()) / 1024
    print(f"{output}: {found.id}, {size_kib:.0f} KiB", file=sys.stderr)


def _write(output: Path, text: str) -> None:
    """Replace the file in one step, so that a reader never sees half a page."""
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{output} cannot be written: {error.strerror}.") from None
