"""``tonnage choose``: which of the known device classes for a training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli import options
from app.cli.context import absolute_spec, open_database, open_settings
from app.cli.output import print_json, write_file
from optimizer.fleet.choose import Prefer
from probes.errors import InputError
from probes.space_text import parse_assignments


def choose(
    workload: Annotated[
        str,
        typer.Argument(
            help="What is trained: a registered name, path/to/file.py:Class or "
            "package.module:Class.",
            metavar="WORKLOAD",
        ),
    ],
    budget: Annotated[
        str,
        typer.Option(help="Take the model size from the recommendations for this budget."),
    ] = "prototyping",
    epochs: Annotated[
        float | None, typer.Option(help="Train for this many epochs.", metavar="N")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Train on this many samples.", metavar="N")
    ] = None,
    cycles: Annotated[
        float | None,
        typer.Option(
            help="Train for this many cycles, whatever the batch size. Default: one cycle, if "
            "neither epochs nor samples are given.",
            metavar="N",
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            help="When training must be done: in 90m, 6h or 2d; at 18:00 today; or at "
            "2026-11-30T18:00.",
            metavar="TIME",
        ),
    ] = None,
    budget_money: Annotated[
        float | None,
        typer.Option(
            help="The most that training may cost, in the configured currency.",
            metavar="AMOUNT",
        ),
    ] = None,
    prefer: Annotated[
        Prefer, typer.Option(help="What decides between devices that meet the limits.")
    ] = Prefer.CHEAPEST,
    set_: options.Set = None,
    option: options.Option = None,
    time_scale: Annotated[
        float, typer.Option(help="Use recommendations that were made with this --time-scale.")
    ] = 1.0,
    carbon: Annotated[
        bool,
        typer.Option("--carbon", help="Also estimate the carbon, from [fleet] in tonnage.toml."),
    ] = False,
    measure: Annotated[
        int,
        typer.Option(
            help="First run up to N of the searches that would settle the choice. Only devices of "
            "this machine are searched.",
            min=0,
            metavar="N",
        ),
    ] = 0,
    to: Annotated[
        Literal["slurm", "kubernetes"] | None,
        typer.Option("--to", help="Print the answer as a resource request instead."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --to: write to this file.")
    ] = None,
    python: options.Python = None,
    wait: options.Wait = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Choose a device class for a training run, by time, cost and energy.

    Compares every device class in the database by what was measured there. Nothing is measured
    now, unless --measure asks for it: a class that has not run the workload is shown as a prior,
    with the probe that would settle the choice. Prices are in [fleet] of tonnage.toml. Exit status
    1 if no measured class meets the limits.

    Example: tonnage choose visnet --epochs 40 --deadline 18:00 --budget-money 12
    """
    if output is not None and to is None:
        raise InputError("--output needs --to slurm or --to kubernetes.")
    if to is not None and json_:
        raise InputError(f"--json does not go with --to {to}: give one of them.")
    settings = open_settings(lease_wait_s=wait)

    from datetime import datetime

    from app.cli.fleet_answer import show
    from app.fleet_answers import service
    from app.fleet_answers.deadline import seconds_until
    from app.fleet_answers.exports.formats import FORMATS
    from app.fleet_answers.question import FleetQuestion
    from app.workloads.registry import entry_of

    label = workload if entry_of(settings, workload) is not None else absolute_spec(workload)
    asked = FleetQuestion(
        workload=label,
        budget=budget,
        epochs=epochs,
        samples=samples,
        cycles=cycles,
        deadline_s=None
        if deadline is None
        else seconds_until(deadline, datetime.now().astimezone()),
        budget_money=budget_money,
        prefer=prefer,
        pinned=parse_assignments(set_ or [], "--set"),
        options=parse_assignments(option or [], "--option"),
        time_scale=time_scale,
        with_carbon=carbon,
    )
    store = open_database(settings, database)
    if measure:
        from app.cli.fleet_probing import LocalProbes

        LocalProbes(settings, store, workload, asked.options, python).run(asked, measure)
    row = service.ask(store, settings, asked)
    found = service.document_of(row)
    if to is not None:
        text = FORMATS[to].make(settings, found)
        if output is None:
            sys.stdout.write(text)
        else:
            write_file(output, text)
    elif json_:
        print_json(found)
    else:
        show(found)
    raise typer.Exit(0 if found["verdict"] == "possible" else 1)
