"""``tonnage max-batch``: the maximum stable batch of a config, with evidence."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.dry_run import show_dry_run
from app.cli.max_batch_report import document, show
from app.cli.measuring import MeasuringOptions, measuring
from app.cli.output import print_json
from probes.max_batch.result import MaxBatch
from probes.measurement import Verdict

if TYPE_CHECKING:
    from app.database import Database
    from app.machine.session import MeasuringSession


@measuring
def max_batch(
    shared: MeasuringOptions,
    *,
    longest_step: Annotated[
        float | None,
        typer.Option(
            help="Longest step time allowed. The search stops at the limit it reaches first, time "
            "or memory.",
            min=1e-6,
            metavar="SECONDS",
        ),
    ] = None,
    cap: Annotated[
        int | None,
        typer.Option(min=1, max=options.LARGEST_BATCH, help="Largest batch size to consider."),
    ] = None,
) -> None:
    """Find the largest stable batch of a config, and what limits it.

    A few short probes predict the limit. A full run in a fresh process confirms the batch, and a
    failing probe just above it shows that it is the largest. Dimensions that are not fixed with
    --set take their smallest value. Exit status 1 if not even batch 1 fits.

    Example: tonnage max-batch transformer --set layers=4 --set width=256 --memory-budget 1GiB
    """
    if shared.dry_run:
        show_dry_run(shared)
        return
    asked = shared.resolve()
    began_s = time.monotonic()

    from app.cli.progress import ProgressDisplay, prior_line
    from app.devices.service import register_target
    from app.machine.scaling import ScalingAnswer, measure_scaling
    from app.machine.uneven import measure_uneven
    from app.measurements.service import record
    from optimizer.records import predictions
    from probes.max_batch import Ask, MaxBatchSearch, run_search
    from probes.measurement import Measurement

    with ProgressDisplay() as progress, asked.lease(progress.waiting):
        bench = asked.open_session(progress.worker, rests_on_time=False)
        progress.notes(bench.notes)
        config = bench.config(asked.pinned)
        bounds = bench.bounds(config, cap=cap, longest_step_s=longest_step)

        def measure(wanted: Ask) -> Measurement:
            progress.probe(wanted)
            measurement = bench.measure(config, wanted)
            record(asked.database, bench.scope, measurement, predictions(wanted))
            progress.measured(measurement)
            return measurement

        def keep(alone: MeasuringSession, measurement: Measurement) -> None:
            register_target(asked.database, alone.target)
            record(asked.database, alone.scope, measurement)
            progress.measured(measurement, "one rank alone: ")

        _register(asked.database, bench)
        progress.doing("estimating memory")
        prior = bench.prior(config, bounds.ceiling)
        progress.line(prior_line(prior))
        answer = run_search(MaxBatchSearch(bounds, prior=prior), measure)

        def keep_uneven(measurement: Measurement) -> None:
            record(asked.database, bench.scope, measurement)
            progress.measured(measurement, "a batch per rank: ")

        scaling, uneven = ScalingAnswer(None), None
        if bench.group is not None and answer.highest_passing is not None:
            progress.line("Measuring one rank alone, to compare its speed with that of all.")
            progress.doing("measuring one rank alone")
            scaling = measure_scaling(bench, answer.highest_passing, keep)
            progress.doing("dividing the batch by what each rank carries")
            uneven = measure_uneven(bench, config, bounds, answer, keep_uneven)
    wall_s = time.monotonic() - began_s
    if shared.json_:
        device, network = asked.target.facts.device, asked.target.network
        label = asked.workload.label
        print_json(document(answer, prior, label, device, config, wall_s, scaling, uneven, network))
    else:
        show(answer, config, wall_s, scaling, uneven)
    raise typer.Exit(exit_code(answer))


def _register(database: Database, bench: MeasuringSession) -> None:
    """Make the device and the workload known: a command can be checked by its name then."""
    from app.devices.service import register_target
    from app.workloads.service import register_measured

    register_target(database, bench.target)
    register_measured(database, bench)


def exit_code(answer: MaxBatch) -> int:
    if answer.max_batch is not None:
        return 0
    failing = answer.lowest_failing
    unmeasured = failing is None or failing.verdict in (Verdict.CRASH, Verdict.TIMEOUT)
    return 3 if unmeasured else 1
