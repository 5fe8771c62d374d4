"""``tonnage recommend``: the stored recommendations that are still valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.context import absolute_spec, open_database, open_settings
from app.cli.output import print_json, stdout
from probes.formatting import plural

if TYPE_CHECKING:
    from app.runs.repository import Grades
    from app.validity.comparison import Validity
    from optimizer.records import Recommendation


def recommend(
    workload: Annotated[str | None, typer.Option(help="Only of this workload.")] = None,
    budget: Annotated[str | None, typer.Option(help="Only of this budget.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Only for this device, such as cuda:0.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also show those that are no longer valid, and why.")
    ] = False,
    python: options.Python = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Show stored recommendations that are still valid here.

    Shows the newest per workload, budget and device. A recommendation that a new driver, torch or
    workload has made invalid is left out; --all shows it with what changed. Exit status 1 when none
    is valid.
    """
    settings = open_settings()
    store = open_database(settings, database)

    from app.cli.recommendation import show
    from app.recommendations.service import choices, listing
    from app.runs.service import grades
    from app.validity.worker import validities
    from app.workloads.again import tune_line, tune_line_of
    from optimizer.budgets import budget_named

    spec = absolute_spec(workload) if workload else None
    stored = listing(store, workload=spec, budget=budget, device=device)
    if budget is not None and not stored:
        budget_named(budget, settings.budget_table())
    latest = newest(stored)
    checked = list(zip(latest, validities(settings, store, latest, python), strict=True))
    valid = [(item, validity) for item, validity in checked if validity.is_valid]
    graded = grades(store, [item.id for item in latest])
    shown = checked if all_ else valid
    if json_:
        print_json([document(item, validity, graded.get(item.id)) for item, validity in shown])
    else:
        console = stdout()
        for item, validity in shown:
            show(item)
            console.print(graded_words(graded.get(item.id)), markup=False)
            for reason in validity.reasons:
                console.print(f"  NOT VALID: {reason}", markup=False)
        if not shown:
            others = [name for name in choices(store).workloads if name != spec]
            tune = tune_line_of(store, workload or "WORKLOAD")
            if len(latest) == 1:
                only = latest[0]
                tune = tune_line(only.workload, only.valid.get("workload_options"))
            said = nothing(workload, tune, budget, len(checked), others)
            console.print(said, markup=False, soft_wrap=True)
    raise typer.Exit(0 if valid else 1)


def newest(stored: list[Recommendation]) -> list[Recommendation]:
    """The newest for each question (workload, options, budget, scale, device, memory). ``stored``
    is sorted newest first."""
    seen: dict[tuple[Any, ...], Recommendation] = {}
    for item in stored:
        scale, options_ = item.study.get("time_scale"), str(item.valid.get("workload_options"))
        where = (item.device, item.limit_bytes, item.headroom)
        key = (item.workload, options_, item.budget, scale, *where)
        seen.setdefault(key, item)
    return list(seen.values())


def document(
    recommendation: Recommendation, validity: Validity, grades: Grades | None
) -> dict[str, Any]:
    return {
        **recommendation.to_dict(),
        "training_runs": None if grades is None else grades.to_dict(),
        "is_valid": validity.is_valid,
        "invalid_because": validity.reasons,
    }


def graded_words(grades: Grades | None) -> str:
    """How the training runs with it ended."""
    if grades is None:
        return "  Trained with:   not yet (tonnage run -- COMMAND records the outcome)"
    runs = plural(grades.runs, "run")
    words = f"{runs}, {grades.finished} finished, {grades.out_of_memory} out of memory"
    if grades.step_time_s is not None:
        words += f", {grades.step_time_s:.3g} s per step"
    return f"  Trained with:   {words}"


def nothing(
    workload: str | None, tune: str, budget: str | None, stale: int, others: Sequence[str]
) -> str:
    if stale:
        again = f": {tune}" if stale == 1 else "."
        return (
            f"{stale} stored, but none is still valid. Show the reasons with --all, or tune "
            f"again{again}"
        )
    command = f"{tune} --budget {budget or 'prototyping'}"
    if workload and others:
        what = f"No recommendation is stored of {workload} yet, but of {', '.join(others)}."
    else:
        what = "No recommendation is stored yet."
    return f"{what} Measure it with: {command}"
