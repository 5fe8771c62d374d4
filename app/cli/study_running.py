"""Studies at a terminal: run them with their progress, and show what they end in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from app.cli.measuring import ResolvedOptions
from app.cli.output import stderr, stdout
from app.cli.progress import ProgressDisplay
from app.cli.recommendation import show
from app.tuning.request import StudyRequest
from app.tuning.tune import StudyAnswer, tune_study


def run_studies(
    asked: ResolvedOptions, budgets: Sequence[str], search: Mapping[str, Any], *, join: str = ""
) -> list[StudyAnswer]:
    """The study of each budget in turn, with its progress. ``search`` are fields of
    ``StudyRequest``."""
    with ProgressDisplay() as progress:
        progress.doing("loading the workload")
        bench = asked.open_session(progress.worker)
        workload = {"workload": bench.workload.label, "pinned": asked.pinned}
        return [
            tune_study(
                bench,
                asked.database,
                StudyRequest.trusted({**workload, **search, "budget": name}),
                progress.study,
                progress.line,
                progress.waiting,
                join=join,
            )
            for name in budgets
        ]


def show_answers(answers: Sequence[StudyAnswer], *, json_: bool) -> None:
    """Print each recommendation, or why there is none; with ``json_`` only the latter. Exits where
    one is missing."""
    for answer in answers:
        if answer.recommendation is None:
            console = stderr() if json_ else stdout()
            console.print(f"[bold red]No recommendation[/bold red] for {answer.budget}.")
            for reason in answer.reasons:
                console.print(f"  {reason}", markup=False)
        elif not json_:
            show(answer.recommendation)
    missing = [answer for answer in answers if answer.recommendation is None]
    if missing:
        raise typer.Exit(1 if any(answer.measured for answer in missing) else 3)
