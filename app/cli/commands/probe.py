"""``tonnage probe``: one measurement."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import options
from app.cli.dry_run import show_dry_run
from app.cli.measuring import MeasuringOptions, measuring
from app.cli.output import facts_table, phase_name, print_json, stdout
from app.cli.ranks import rank_table, ranks_document, run_batch_text, together_rows
from probes.energy.words import energy_rows
from probes.formatting import size_text
from probes.measurement import Measurement, Verdict


@measuring
def probe(
    shared: MeasuringOptions,
    *,
    batch_size: Annotated[
        int, typer.Option(min=1, max=options.LARGEST_BATCH, help="Samples per batch.")
    ],
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Run only a few steps: peak memory and a rough step time, but no stability "
            "verdict.",
        ),
    ] = False,
) -> None:
    """Measure one config at one batch size.

    The probe runs in a separate process.

    Exit status: 0 if it is stable, 1 if it is not, 3 if it could not be measured (the workload
    crashed or hung).

    Example: tonnage probe transformer --set layers=2 --set width=128 --batch-size 64
    """
    if shared.dry_run:
        show_dry_run(shared, batch_size=batch_size)
        return
    asked = shared.resolve()

    from app.cli.progress import ProgressDisplay
    from app.devices.service import register_target
    from app.measurements.service import record
    from app.workloads.service import register_measured
    from probes.max_batch import Ask
    from probes.measurement import Purpose

    with ProgressDisplay() as progress, asked.lease(progress.waiting):
        bench = asked.open_session(progress.worker)
        progress.notes(bench.notes)
        purpose = Purpose.BRACKET if quick else Purpose.CONFIRM
        wanted = Ask(batch_size, purpose)
        progress.probe(wanted)
        measurement = bench.measure(bench.config(asked.pinned), wanted)
        register_target(asked.database, asked.target)
        register_measured(asked.database, bench)
        record(asked.database, bench.scope, measurement)
    if shared.json_:
        effective = measurement.effective_batch_size
        print_json(
            {
                **measurement.to_dict(),
                "effective_batch_size": effective,
                **ranks_document(measurement, measurement.device),
            }
        )
    else:
        show(measurement)
    raise typer.Exit(exit_code(measurement))


def exit_code(measurement: Measurement) -> int:
    if measurement.passed:
        return 0
    return 3 if measurement.verdict in (Verdict.CRASH, Verdict.TIMEOUT) else 1


def show(m: Measurement) -> None:
    """Print the measurement as text, verdict and reason first."""
    console = stdout()
    style = "green" if m.passed else "red"
    console.print(f"[bold {style}]{m.verdict}[/bold {style}]", end="  ")
    console.print(m.reason, markup=False)
    if m.hint:
        console.print(f"→ {m.hint}", markup=False)
    rows = [("batch", run_batch_text(m)), ("device", m.device), *together_rows(m)]
    if m.peak_bytes is not None:
        share = f" of {size_text(m.limit_bytes)}, {m.headroom:.0%} kept free"
        rows.append(("peak memory", size_text(m.peak_bytes) + share))
    if m.phase_peak_bytes:
        peaks = m.phase_peak_bytes.items()
        phases = ", ".join(f"{phase_name(k, m)} {size_text(v)}" for k, v in peaks)
        rows.append(("peak by phase", phases))
    if m.step_time is not None:
        t = m.step_time
        rows.append(
            (
                "step time",
                f"{t.mean_s:.4g} s (90 % interval {t.low_s:.4g} to {t.high_s:.4g}; p10 "
                f"{t.p10_s:.4g}, p90 {t.p90_s:.4g}; {t.steps} steps after {t.warmup_steps} of "
                f"warm-up{'' if t.converged else '; not converged'})",
            )
        )
        if t.data_s:
            rows.append(("waiting for data", f"{t.data_s / t.median_s:.0%} of a step"))
    rows += energy_rows(m)
    if m.parameters:
        rows.append(("parameters", f"{m.parameters:,}"))
    rows += [("disturbed", taint) for taint in m.tainted]
    rows += [("note", note) for note in m.notes]
    console.print(facts_table(rows))
    if m.ranks:
        console.print()
        console.print(rank_table(m.ranks))
    if m.verdict in (Verdict.CRASH, Verdict.TIMEOUT, Verdict.UNSUPPORTED):
        whose = "command" if "command" in m.environment else "worker"
        for name, tail in (("stderr", m.stderr_tail), ("stdout", m.stdout_tail)):
            if tail.strip():
                console.print(
                    f"\nlast {name} of the {whose}:\n{tail.rstrip()[-3000:]}", markup=False
                )
