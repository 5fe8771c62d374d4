"""``tonnage tune``: the main job. Search, choose, keep."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import options
from app.cli.context import What, ask, is_quiet, open_database
from app.cli.dry_run import show_dry_run
from app.cli.output import print_json, stderr, stdout
from optimizer.budgets import MINUTE_S, Objective
from optimizer.proposals import Sampler
from probes.levers import LEVERS, parse_names

ALL_BUDGETS = ("smoke_test", "prototyping", "validation", "production")
"""In the order in which a project needs them; each teaches the next."""


def tune(
    workload: options.WorkloadOrCommand = None,
    budget: Annotated[
        str,
        typer.Option(
            help="smoke_test (does it run at all), prototyping (20 min per cycle), validation "
            "(90 min per cycle), production (the largest model), all of them, or another that is "
            "configured."
        ),
    ] = "prototyping",
    command: options.Command = None,
    space: options.Space = None,
    step: options.Step = None,
    dry_run: options.DryRun = False,
    set_: options.Set = None,
    option: options.Option = None,
    device: options.Device = None,
    memory_budget: options.MemoryBudget = None,
    headroom: options.Headroom = None,
    effective_batch_size: options.EffectiveBatchSize = None,
    levers: Annotated[
        str | None,
        typer.Option(
            help="Search these levers too, with the values the device can do: " + ", ".join(LEVERS),
            show_default=False,
            metavar="NAME,NAME",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, help="Configs to measure at most. Default: the budget's.", show_default=False
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Minutes after which no further config is begun; the best so far is recommended, "
            "and the same command goes on.",
            show_default=False,
            metavar="MINUTES",
        ),
    ] = None,
    objective: Annotated[
        Objective | None,
        typer.Option(
            help="What is best inside the window: throughput (a larger model wins where it costs "
            "little), capacity (the largest model), pareto (measure the whole front of both). "
            "Default: the budget's.",
            show_default=False,
        ),
    ] = None,
    sampler: Annotated[
        Sampler,
        typer.Option(
            help="What proposes configs: predictive learns from every probe and stops when nothing "
            "better is likely; the others are Optuna's, and measure every config to its end."
        ),
    ] = Sampler.PREDICTIVE,
    cycle_batches: Annotated[
        int | None,
        typer.Option(min=1, help="Batches in a cycle. Default: 450.", show_default=False),
    ] = None,
    time_scale: Annotated[
        float,
        typer.Option(
            min=1e-6, help="Multiply the budget's times, to try things out: 0.05 makes 20 min 1."
        ),
    ] = 1.0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure again, whatever is stored.")
    ] = False,
    join: Annotated[
        str,
        typer.Option(
            help="Work on a study that another process runs, on another device of the same class: "
            "its id. Give the same workload, budget and options as its command.",
            show_default=False,
            metavar="STUDY",
        ),
    ] = "",
    python: options.Python = None,
    wait: options.Wait = None,
    accept_disturbed: options.AcceptDisturbed = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Find the configuration to train with, for a budget, on this device.

    Every probe is stored as it ends. Interrupt it, kill it, run the same command again: it goes
    on where it was. When it is finished and still valid, the answer comes from the store. Exit
    status 1 when nothing fits, 3 when nothing could be measured, or only while the machine was
    disturbed.

    Example: tonnage tune visnet --budget smoke_test --device cpu --memory-budget 2GiB
    """
    what = What(workload, command, space, step)
    if dry_run:
        show_dry_run(
            what,
            set_,
            option,
            python,
            batch_size=None,
            effective_batch_size=effective_batch_size,
            every=True,
            json_=json_,
        )
        return
    asked = ask(
        what,
        device=device,
        memory_budget=memory_budget,
        python=python,
        set_=set_,
        option=option,
        headroom=headroom,
        effective_batch_size=effective_batch_size,
        wait=wait,
        accept_disturbed=accept_disturbed,
    )
    store = open_database(asked.settings, database)

    from app.cli.progress import Progress
    from app.cli.recommendation import show
    from app.tuning.tune import Question, tune_study

    with Progress(quiet=is_quiet()) as progress:
        progress.doing("loading the workload")
        bench = asked.open_session(progress.worker)
        answers = [
            tune_study(
                bench,
                store,
                Question(
                    budget=name,
                    pinned=asked.pinned,
                    levers=parse_names(levers),
                    trials=trials,
                    cycle_batches=cycle_batches,
                    time_scale=time_scale,
                    fresh=fresh,
                    objective=objective,
                    sampler=str(sampler),
                    timeout_s=None if timeout is None else timeout * MINUTE_S,
                    join=join,
                ),
                progress.study,
                progress.line,
                progress.waiting,
            )
            for name in (ALL_BUDGETS if budget == "all" else [budget])
        ]
    if json_:
        documents = [answer.to_dict() for answer in answers]
        print_json({"recommendations": documents} if budget == "all" else documents[0])
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
