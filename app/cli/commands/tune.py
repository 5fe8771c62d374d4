"""``tonnage tune``: search for a configuration, recommend one, store it."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from app.cli import options
from app.cli.dry_run import show_dry_run
from app.cli.given import listed
from app.cli.measuring import MeasuringOptions, measuring
from app.cli.output import print_json
from app.names import KEY_VARIABLE
from optimizer.budgets import MINUTE_S, Objective
from optimizer.proposals import Sampler
from probes.errors import InputError
from probes.levers import LEVERS

ALL_BUDGETS = ("smoke_test", "prototyping", "validation", "production")
"""In the order in which a project needs them. Each study reuses earlier measurements."""


@measuring
def tune(
    shared: MeasuringOptions,
    *,
    budget: Annotated[
        str,
        typer.Option(
            help="smoke_test (does it run at all?), prototyping (20 min per cycle), validation "
            "(90 min per cycle), production (the largest model), all (these four in turn), or a "
            "budget from your configuration."
        ),
    ] = "prototyping",
    levers: Annotated[
        str | None,
        typer.Option(
            help="Search these levers too, over the values that the device supports: "
            + ", ".join(LEVERS),
            metavar="NAME,NAME",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=options.MOST_TRIALS,
            help="Maximum number of configs to measure. Default: set by the budget.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Start no further config after this many minutes and recommend the best one so "
            "far. Run the same command again to continue.",
            metavar="MINUTES",
        ),
    ] = None,
    objective: Annotated[
        Objective | None,
        typer.Option(
            help="What to optimize within the time window: throughput (the fastest; a larger "
            "model if it is nearly as fast), capacity (the largest model) or pareto (measures the "
            "whole front of both). Default: set by the budget."
        ),
    ] = None,
    sampler: Annotated[
        Sampler,
        typer.Option(
            help="What proposes configs. predictive learns from every probe and stops when a "
            "better config is unlikely; the others are Optuna's and measure every config fully."
        ),
    ] = Sampler.PREDICTIVE,
    cycle_batches: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=options.MOST_STEPS,
            help="Optimizer steps per cycle. Default: the configured value (450).",
        ),
    ] = None,
    time_scale: Annotated[
        float,
        typer.Option(
            min=1e-6,
            max=options.LARGEST_SCALE,
            help="Multiply the budget's times, for a trial run: 0.05 turns 20 minutes into 1.",
        ),
    ] = 1.0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ignore stored results and measure everything again.")
    ] = False,
    join: Annotated[
        str,
        typer.Option(
            help="Help with a running study: its id. This device must be of the same class. Use "
            "the same workload, budget and options as the command that started it.",
            metavar="STUDY",
        ),
    ] = "",
    devices_class: Annotated[
        str | None,
        typer.Option(
            help="Run one study for each class of devices here, or with --fleet in the fleet, and "
            "compare the classes: all, or the class key, name or kind of one. Each size in "
            "--memory-budget, such as 2GiB,1GiB, then emulates a class of its own.",
            metavar="all|CLASS",
        ),
    ] = None,
    fleet: options.FleetOrService = None,
    api_key: options.CodeKey = None,
    accept_disturbed: options.AcceptDisturbed = None,
) -> None:
    """Find the configuration to train with on this device.

    Every probe is stored as soon as it ends. If the command is interrupted or killed, run it again
    to continue where it stopped. If a finished study is still valid, its recommendation is read
    from the database. Exit status 1 if nothing fits; 3 if nothing could be measured, or if every
    measurement was disturbed by other programs.

    With --fleet it runs where the fleet has room, and keeps running if you stop this command.

    Example: tonnage tune visnet --budget smoke_test --device cpu --memory-budget 2GiB
    """
    if fleet is None and api_key not in (None, os.environ.get(KEY_VARIABLE)):
        raise InputError("--api-key needs --fleet URL: it is the key of a service.")
    if shared.dry_run and fleet is None:
        show_dry_run(shared, every=True)
        return
    search: dict[str, Any] = {
        "levers": list(dict.fromkeys(listed(levers, "--levers"))),
        "objective": objective,
        "sampler": sampler,
        "trials": trials,
        "timeout_s": None if timeout is None else timeout * MINUTE_S,
        "cycle_batches": cycle_batches,
        "time_scale": time_scale,
        "fresh": fresh,
    }
    budgets = ALL_BUDGETS if budget == "all" else (budget,)
    if fleet is not None:
        from app.cli.fleet_studies import tune_on_fleet

        if join:
            raise InputError("--fleet chooses the devices: leave out --join.")
        search["accept_disturbed"] = accept_disturbed
        tune_on_fleet(shared, fleet, api_key, budgets, search, devices_class)
        return
    if devices_class is not None:
        from app.cli.fleet_tuning import tune_classes

        tune_classes(shared, devices_class, budgets, search, accept_disturbed, join=join)
        return

    from app.cli.study_running import run_studies, show_answers

    answers = run_studies(
        shared.resolve(accept_disturbed=accept_disturbed), budgets, search, join=join
    )
    if shared.json_:
        documents = [answer.to_dict() for answer in answers]
        print_json({"recommendations": documents} if budget == "all" else documents[0])
    show_answers(answers, json_=shared.json_)
