"""``tonnage check``: the pre-training hook."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import typer

from app.cli.checking.command import CheckCommand
from app.cli.context import open_settings
from app.cli.options import declared_in
from app.cli.output import write_file
from probes.errors import InputError

BUSY_TIMEOUT_S = 2.0
"""How long to wait to store an answer: less than a pipeline may be kept waiting."""


@declared_in(CheckCommand)
def check(command: CheckCommand) -> None:
    """Check whether a training run will fit and finish in time.

    Compares the plan with measurements stored for this device. The first line is the answer with
    its reason, and every answer is stored. Exit status 0 if it fits, 1 if it does not or is too
    slow, 3 if nothing valid was measured.

    Example: tonnage check --workload transformer --set layers=2 --batch-size 64
    """
    from app.cli.checking.answer import answer
    from app.database import open_database

    if command.json_ and command.format_ not in ("text", "json"):
        raise InputError(f"--json does not go with --format {command.format_}: give one of them.")
    settings = open_settings(lease_wait_s=command.wait)
    url = command.database or settings.database_url
    store = cache(lambda: open_database(url, busy_timeout_s=BUSY_TIMEOUT_S))
    found = {**answer(command, settings, store), "tolerated": command.on_unknown == "warn"}
    _print(found, command)
    if command.summary:
        _summarise(found)
    for warning in found["warnings"]:
        print(f"Warning: {warning}", file=sys.stderr)
    raise typer.Exit(exit_code(found))


def exit_code(answer: dict[str, Any]) -> int:
    """0 fits, 1 does not fit or is too slow, 3 unknown or stale (0 where that is tolerated)."""
    if answer["verdict"] == "fits":
        return 0
    if answer["verdict"] in ("does_not_fit", "too_slow"):
        return 1
    return 0 if answer["tolerated"] else 3


def _print(answer: dict[str, Any], command: CheckCommand) -> None:
    from app.checks.formats import render

    form = "json" if command.json_ else command.format_
    files = [
        (name, file) for name, _, file in (each.partition("=") for each in command.report or [])
    ]
    if command.output is not None:
        files.append((form, str(command.output)))
    shown = form if command.output is None else "text"
    text = render(answer, shown, explain=command.explain)
    for name, file in files:
        if not file:
            raise InputError(f"--report {name}: write it as --report junit=report.xml.")
        write_file(Path(file), render(answer, name, explain=command.explain))
    sys.stdout.write(text)
    sys.stdout.flush()


def _summarise(answer: dict[str, Any]) -> None:
    from app.checks.formats import render

    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        print("Warning: --summary: GITHUB_STEP_SUMMARY is not set.", file=sys.stderr)
        return
    with Path(file).open("a", encoding="utf-8") as page:
        page.write(render(answer, "markdown"))
