"""Evaluating a run from the command line, with its rows stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.cli.context import open_database, open_settings
from app.cli.finetuning.display import FineTuningDisplay
from app.cli.output import stdout
from probes.space_text import parse_assignments


def evaluate_run(
    run_folder: Path,
    tasks: Sequence[str],
    assignments: Sequence[str],
    baseline: str | None,
    limit: int | None,
    database: str | None,
) -> dict[str, Any]:
    """Evaluate in the interpreter that trained. Returns the summaries of the run and of the
    baseline, by task. Raises ``InputError``."""
    from app.finetunings import reading
    from app.finetunings.evaluating import store_evaluation
    from app.finetunings.tasks import task_options
    from finetuning.run import FineTuning

    store = open_database(open_settings(), database)
    run = FineTuning.resume(run_folder)
    options = task_options(tasks, parse_assignments(list(assignments), "--option"), "--option")
    with FineTuningDisplay() as display:
        found = run.with_events(display.event).evaluate(
            tasks, options=options, baseline=baseline, limit=limit
        )
    row = reading.of_folder(store, str(run.folder.path.resolve()), run.settings.to_plain())
    if row is not None:
        store_evaluation(store, row.id, run, found)
    return found


def show_evaluation(found: Mapping[str, Any]) -> None:
    """Print the figures of every task, beside those of the baseline."""
    from rich.table import Table

    console = stdout()
    for task, summary in found["run"].items():
        theirs = found["baseline"].get(task, {})
        table = Table(title=task, title_justify="left")
        table.add_column("")
        table.add_column("this run", justify="right")
        if theirs:
            table.add_column("baseline", justify="right")
        other = theirs.get("figures", {})
        for name, figure in summary["figures"].items():
            cells = [_number(figure)]
            if theirs:
                cells.append(_number(other.get(name)))
            table.add_row(name, *cells)
        console.print(table)


def _number(figure: Any) -> str:
    value = figure.get("value") if isinstance(figure, Mapping) else figure
    if value is None:
        return "–"
    return f"{value:,.4g}" if isinstance(value, (int, float)) else str(value)
