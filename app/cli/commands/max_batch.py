"""``tonnage max-batch``: the maximum stable batch of a config, with evidence."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from app.cli import options
from app.cli.context import ask, is_quiet, open_database
from app.cli.output import facts_table, print_json, stdout
from app.cli.values import size_text
from probes.answer import MaxBatch
from probes.measurement import Verdict


def max_batch(
    workload: options.Workload,
    set_: options.Set = None,
    option: options.Option = None,
    device: options.Device = None,
    memory_budget: options.MemoryBudget = None,
    headroom: options.Headroom = None,
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
    asked = ask(
        workload,
        device=device,
        memory_budget=memory_budget,
        python=python,
        set_=set_,
        option=option,
        headroom=headroom,
        wait=wait,
    )
    store = open_database(asked.settings, database)
    began_s = time.monotonic()

    from app.cli.progress import Progress, prior_line
    from app.measurements.service import record
    from optimizer.study import predictions
    from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
    from probes.measurement import Measurement

    settings = asked.settings.probe
    with Progress(quiet=is_quiet()) as progress, asked.lease(progress.waiting):
        bench = asked.open_bench(progress.worker, rests_on_time=False)
        config = bench.config(asked.pinned)
        bounds = Bounds(
            cap=cap or settings.max_batch,
            dataset_size=bench.dataset_size,
            longest_step_s=longest_step,
            resolution=settings.resolution,
            slowest_sample=bench.slowest_sample,
        )

        def measure(wanted: Ask) -> Measurement:
            progress.probe(wanted)
            measurement = bench.measure(config, wanted)
            record(store, bench.scope, measurement, predictions(wanted))
            progress.measured(measurement)
            return measurement

        progress.doing("estimating memory")
        prior = bench.prior(config, bounds.ceiling)
        progress.line(prior_line(prior))
        answer = run_search(MaxBatchSearch(bounds, prior=prior), measure)
    wall_s = time.monotonic() - began_s
    if json_:
        print_json(
            {
                **document(answer, asked.workload.spec, asked.target.facts.device, config, wall_s),
                "prior": prior.to_dict(),
            }
        )
    else:
        show(answer, config, wall_s)
    raise typer.Exit(exit_code(answer))


def exit_code(answer: MaxBatch) -> int:
    if answer.max_batch is not None:
        return 0
    failing = answer.lowest_failing
    unmeasured = failing is None or failing.verdict in (Verdict.CRASH, Verdict.TIMEOUT)
    return 3 if unmeasured else 1


def document(
    answer: MaxBatch, workload: str, device: str, config: dict[str, Any], wall_s: float
) -> dict[str, Any]:
    """The contract's document of ``max-batch --json``."""
    run = answer.highest_passing or answer.lowest_failing
    timing = answer.highest_passing.step_time if answer.highest_passing else None
    step_time_s = None
    if timing is not None:
        step_time_s = {"median": timing.median_s, "low": timing.low_s, "high": timing.high_s}
    return {
        "workload": workload,
        "config": config,
        "device": device,
        **answer.to_dict(),
        "limit_bytes": run.limit_bytes if run else None,
        "headroom": run.headroom if run else None,
        "peak_bytes": answer.highest_passing.peak_bytes if answer.highest_passing else None,
        "step_time_s": step_time_s,
        "wall_s": round(wall_s, 3),
    }


def show(answer: MaxBatch, config: dict[str, Any], wall_s: float) -> None:
    from optimizer.choose import config_text

    console = stdout()
    run = answer.highest_passing
    if run is None or answer.max_batch is None:
        console.print(f"[bold red]Nothing fits[/bold red] for {config_text(config)}.")
        console.print(answer.reason, markup=False)
        failing = answer.lowest_failing
        if failing is not None and failing.hint:
            console.print(f"→ {failing.hint}", markup=False)
        crashed = failing is not None and failing.verdict is Verdict.CRASH
        if failing is not None and crashed and failing.stderr_tail.strip():
            console.print(f"\nlast output:\n{failing.stderr_tail.rstrip()[-3000:]}", markup=False)
        return
    console.print(
        f"Maximum stable batch: [bold]{answer.max_batch}[/bold], bound by {answer.binding}."
    )
    rows = [
        ("config", config_text(config)),
        (
            "peak memory",
            f"{size_text(run.peak_bytes)} of {size_text(run.limit_bytes)}, "
            f"{run.headroom:.0%} kept free",
        ),
    ]
    if run.step_time is not None:
        t = run.step_time
        rows.append(("step time", f"{t.mean_s:.4g} s ({t.low_s:.4g} to {t.high_s:.4g})"))
    rows.append(("confirmed by", f"{run.steps} steps in a fresh process"))
    if answer.reason:
        rows.append(("why not more", answer.reason))
    rows.append(("cost", f"{answer.probes} probes, {answer.samples} samples, {wall_s:.0f} s"))
    rows += [("tainted", taint) for taint in run.tainted]
    console.print(facts_table(rows))
