"""The result of a max-batch search: as the JSON document of the contract, and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cli.output import facts_table, phase_name, stdout
from app.cli.ranks import (
    rank_table,
    ranks_document,
    run_batch_text,
    scaling_rows,
    together_rows,
    uneven_document,
)
from probes.energy.words import energy_rows
from probes.formatting import plural, size_text
from probes.max_batch.result import MEMORY_VERDICTS, CurvePoint, MaxBatch
from probes.measurement import Measurement, Verdict

if TYPE_CHECKING:
    from rich.table import Table

    from app.machine.scaling import ScalingAnswer
    from probes.prior import Prior
    from probes.ranks.network import Network
    from probes.ranks.uneven import Uneven

TAIL_CHARACTERS = 3000


def document(
    answer: MaxBatch,
    prior: Prior,
    workload: str,
    device: str,
    config: dict[str, Any],
    wall_s: float,
    scaling: ScalingAnswer,
    uneven: Uneven | None,
    network: Network | None = None,
) -> dict[str, Any]:
    """The document that ``max-batch --json`` prints."""
    run = answer.highest_passing or answer.lowest_failing
    timing = answer.highest_passing.step_time if answer.highest_passing else None
    step_time_s = None
    if timing is not None:
        step_time_s = {
            "mean": timing.mean_s,
            "median": timing.median_s,
            "low": timing.low_s,
            "high": timing.high_s,
        }
    return {
        "workload": workload,
        "config": config,
        "device": device,
        **answer.to_dict(),
        "accumulation": run.accumulation if run else None,
        "effective_batch_size": run.effective_batch_size if run else None,
        "limit_bytes": run.limit_bytes if run else None,
        "headroom": run.headroom if run else None,
        "peak_bytes": answer.highest_passing.peak_bytes if answer.highest_passing else None,
        "step_time_s": step_time_s,
        **energy_document(answer.highest_passing),
        "notes": answer.highest_passing.notes if answer.highest_passing else [],
        "prior": prior.to_dict(),
        **ranks_document(run, device),
        **scaling.to_dict(),
        "uneven": uneven_document(uneven),
        "network": None if network is None else network.to_dict(),
        "wall_s": round(wall_s, 3),
    }


def energy_document(run: Measurement | None) -> dict[str, Any]:
    """The keys about energy, for ``--json``: joules, watts and seconds."""
    sent = run.to_dict() if run is not None else {}
    return {
        "energy": sent.get("energy"),
        "energy_unavailable": sent.get("energy_unavailable", ""),
        "host_energy": sent.get("host_energy"),
        "host_energy_unavailable": sent.get("host_energy_unavailable", ""),
    }


def show(
    answer: MaxBatch,
    config: dict[str, Any],
    wall_s: float,
    scaling: ScalingAnswer,
    uneven: Uneven | None,
) -> None:
    from optimizer.formatting import config_text, limit_text

    console = stdout()
    run = answer.highest_passing
    if run is None or answer.max_batch is None:
        words = _nothing_words(answer)
        console.print(f"[bold red]{words}[/bold red] for {config_text(config)}.")
        console.print(answer.reason, markup=False)
        _show_failure(answer.lowest_failing)
        return
    console.print(
        f"Maximum stable batch: [bold]{run_batch_text(run)}[/bold], "
        f"limited by {_failure_text(answer) or limit_text(answer.binding)}."
    )
    rows = [("config", config_text(config)), ("peak memory", _peak_words(run))]
    if answer.phases:
        rows.append(("phases", _phase_words(answer)))
    if run.step_time is not None:
        t = run.step_time
        rows.append(("step time", f"{t.mean_s:.4g} s ({t.low_s:.4g} to {t.high_s:.4g})"))
    rows += [*energy_rows(run), *together_rows(run)]
    rows += scaling_rows(scaling.to_dict()["scaling"], scaling.note)
    if uneven is not None and (uneven.gain or 1.0) >= 1.0:
        rows.append(("alternative", _uneven_words(uneven)))
    rows.append(("confirmed by", _evidence_words(run)))
    if answer.reason:
        rows.append(("why not larger", answer.reason))
    rows.append(
        ("cost", f"{plural(answer.probes, 'probe')}, {answer.samples} samples, {wall_s:.0f} s")
    )
    what = "time and memory" if run.memory_taints else "time only"
    rows += [(f"disturbed ({what})", taint) for taint in run.tainted]
    rows += [("note", note) for note in run.notes]
    console.print(facts_table(rows))
    if run.ranks:
        console.print()
        console.print(rank_table(run.ranks))
    if answer.curve:
        console.print()
        console.print(_curve_table(answer, run))


def _failure_text(answer: MaxBatch) -> str:
    """That a larger batch failed, for none of the reasons that are known; empty otherwise."""
    failing = answer.lowest_failing
    if answer.binding != "failure" or failing is None:
        return ""
    return f"a failed run of batch {failing.batch_size}, which may have nothing to do with its size"


def _show_failure(failing: Measurement | None) -> None:
    if failing is None:
        return
    console = stdout()
    if failing.ranks:
        console.print(rank_table(failing.ranks))
    if failing.hint:
        console.print(f"→ {failing.hint}", markup=False)
    if failing.verdict is Verdict.CRASH and failing.stderr_tail.strip():
        tail = failing.stderr_tail.rstrip()[-TAIL_CHARACTERS:]
        console.print(f"\nlast output:\n{tail}", markup=False)


def _uneven_words(found: Uneven) -> str:
    sizes = ", ".join(map(str, found.batch_sizes))
    gain = "" if found.gain is None else f", {found.gain:.2g} × the samples per second"
    return (
        f"a batch of {sizes} on ranks 0 to {len(found.batch_sizes) - 1}{gain}; confirmed by "
        f"{found.measurement.steps} steps. Weight each rank's loss by its share of the samples."
    )


def _peak_words(run: Measurement) -> str:
    return (
        f"{size_text(run.peak_bytes)} of {size_text(run.limit_bytes)}, {run.headroom:.0%} kept free"
    )


def _nothing_words(answer: MaxBatch) -> str:
    """Whether no batch can train, or none was found to be stable though some began to train."""
    failing = answer.lowest_failing
    if any(m.passed for m in answer.measurements):
        return "No stable batch was found"
    is_memory = failing is None or failing.verdict in MEMORY_VERDICTS | {Verdict.LEAK}
    return "Nothing fits" if is_memory else "No batch trains"


def _phase_words(answer: MaxBatch) -> str:
    """The peak of each phase, and the largest batch that it would allow by itself."""
    words = []
    for name, phase in answer.phases.items():
        alone = "no limit" if phase.ceiling is None else f"up to about batch {phase.ceiling}"
        run = answer.highest_passing
        shown = name if run is None else phase_name(name, run)
        words.append(f"{shown} {size_text(phase.peak_bytes)} ({alone})")
    return ", ".join(words)


def _evidence_words(run: Measurement) -> str:
    words = f"{run.steps} steps in a fresh process"
    if run.growth is not None:
        low, high = run.growth.low / 1024, run.growth.high / 1024
        if low or high:
            words += f"; memory between steps changed by {low:.3g} to {high:.3g} KiB per step"
        else:
            words += "; memory between steps stayed the same"
    return words


def _curve_table(answer: MaxBatch, run: Measurement) -> Table:
    from rich import box
    from rich.table import Table

    measured = sum(point.measured_bytes is not None for point in answer.curve)
    rests = "1 measurement" if measured == 1 else f"{measured} measurements"
    title = f"Memory by batch size, predicted from {rests}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for name in ("batch", "predicted", "interval", "measured"):
        table.add_column(name, justify="right")
    for point in answer.curve:
        over = run.cap_bytes is not None and point.predicted_bytes > run.cap_bytes
        table.add_row(
            str(point.batch_size),
            size_text(point.predicted_bytes),
            f"{size_text(point.low_bytes)} – {size_text(point.high_bytes)}",
            _measured_words(point, answer),
            style="dim" if over else None,
        )
    return table


def _measured_words(point: CurvePoint, answer: MaxBatch) -> str:
    """The peak, and whether the last run of this batch failed: a long one may where a short one
    passed."""
    last = [m for m in answer.measurements if m.batch_size == point.batch_size][-1:]
    words = [] if point.measured_bytes is None else [size_text(point.measured_bytes)]
    return ", ".join([*words, *(f"failed ({m.verdict})" for m in last if not m.passed)])
