"""Evaluating a run from the command line, with its rows stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.cli.context import open_database, open_settings
from app.cli.finetuning.display import FineTuningDisplay
from app.cli.output import stdout
from probes.errors import InputError
from probes.space import parse_assignments


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
    from app.finetunings import service
    from app.finetunings.evaluating import store_evaluation
    from finetuning.run import FineTuning

    store = open_database(open_settings(), database)
    run = FineTuning.resume(run_folder)
    options = task_options(tasks, parse_assignments(list(assignments), "--option"))
    with FineTuningDisplay() as display:
        found = run.with_events(display.event).evaluate(
            tasks, options=options, baseline=baseline, limit=limit
        )
    row = service.of_folder(store, str(run.folder.path.resolve()), run.settings.to_plain())
    if row is not None:
        store_evaluation(store, row.id, run, found)
    return found


def task_options(tasks: Sequence[str], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Options by task: ``games=20`` where there is one task, ``snake.games=20`` where several.

    Raises ``InputError`` for an option that names no task of several.
    """
    sorted_out: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        task, separator, option = name.rpartition(".")
        if not separator and len(tasks) == 1:
            task = tasks[0]
        if task not in tasks:
            raise InputError(
                f"--option {name}: there are several tasks; write TASK.{option or name}=VALUE with "
                f"one of {', '.join(tasks)}."
                if not separator
                else f"--option {name}: {task} is not among the tasks ({', '.join(tasks)})."
            )
        sorted_out.setdefault(task, {})[option or name] = value
    return sorted_out


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
