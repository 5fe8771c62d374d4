"""``tonnage max-batch``: the maximum stable batch of a config, with evidence."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from app.cli import options
from app.cli.context import What, ask, is_quiet, open_database
from app.cli.dry_run import show_dry_run
from app.cli.max_batch_report import document, show
from app.cli.output import print_json
from probes.max_batch_result import MaxBatch
from probes.measurement import Verdict


def max_batch(
    workload: options.WorkloadOrCommand = None,
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
    longest_step: Annotated[
        float | None,
        typer.Option(
            help="Seconds a step may take: the search stops where time or memory binds first.",
            min=1e-6,
            show_default=False,
            metavar="SECONDS",
        ),
    ] = None,
    cap: Annotated[
        int | None,
        typer.Option(min=1, help="Largest batch to consider.", show_default=False),
    ] = None,
    python: options.Python = None,
    wait: options.Wait = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Find the largest batch of a config that is stable, and what binds it.

    A few short probes predict the edge; a full run in a fresh process confirms it, and a failing
    probe just above shows that it is the edge. Dimensions that are not pinned with --set take
    their smallest value. Exit status 1 when not even batch 1 fits.

    Example: tonnage max-batch transformer --set layers=4 --set width=256 --memory-budget 1GiB
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
            every=False,
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
    )
    store = open_database(asked.settings, database)
    began_s = time.monotonic()

    from app.cli.progress import Progress, prior_line
    from app.machine.target import register
    from app.measurements.service import record
    from optimizer.records import predictions
    from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
    from probes.measurement import Measurement

    settings = asked.settings.probe
    with Progress(quiet=is_quiet()) as progress, asked.lease(progress.waiting):
        bench = asked.open_session(progress.worker, rests_on_time=False)
        config = bench.config(asked.pinned)
        bounds = Bounds(
            cap=cap or settings.max_batch,
            dataset_size=bench.dataset_size,
            longest_step_s=longest_step,
            resolution=settings.resolution,
            slowest_sample=bench.slowest_sample,
            effective_batch_size=bench.effective_batch_size,
        )

        def measure(wanted: Ask) -> Measurement:
            progress.probe(wanted)
            measurement = bench.measure(config, wanted)
            record(store, bench.scope, measurement, predictions(wanted))
            progress.measured(measurement)
            return measurement

        register(store, asked.target)
        progress.doing("estimating memory")
        prior = bench.prior(config, bounds.ceiling)
        progress.line(prior_line(prior))
        answer = run_search(MaxBatchSearch(bounds, prior=prior), measure)
    wall_s = time.monotonic() - began_s
    if json_:
        device_name = asked.target.facts.device
        print_json(document(answer, prior, asked.workload.label, device_name, config, wall_s))
    else:
        show(answer, config, wall_s)
    raise typer.Exit(exit_code(answer))


def exit_code(answer: MaxBatch) -> int:
    if answer.max_batch is not None:
        return 0
    failing = answer.lowest_failing
    unmeasured = failing is None or failing.verdict in (Verdict.CRASH, Verdict.TIMEOUT)
    return 3 if unmeasured else 1
