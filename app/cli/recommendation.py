"""A recommendation as text: what to train and why, first."""

from __future__ import annotations

import textwrap
from typing import Any

from app.cli.output import facts_table, stdout
from app.cli.ranks import rank_table, run_batch_text, scaling_rows, together_rows
from app.cli.values import batch_text
from app.workloads.again import run_line
from optimizer.choose import uses_text
from optimizer.formatting import config_text, error_text, limit_text, rate
from optimizer.records import Recommendation
from probes.energy.words import energy_rows
from probes.formatting import duration_text, energy_text, plural, size_text
from probes.measurement import Measurement


def show(recommendation: Recommendation) -> None:
    """Print it on stdout, and how to use it."""
    console = stdout()
    r = recommendation
    scale = r.study.get("time_scale", 1.0)
    scaled = f", times scaled by {scale:g}" if scale != 1.0 else ""
    console.print(
        f"\n[bold]Recommendation[/bold] for {r.workload}, budget {r.budget}{scaled}, "
        f"on {r.device}\n"
    )
    for line in r.explanation:
        console.print(
            _paragraph(line, console.width if console.is_terminal else None), markup=False
        )
    console.print()
    run = _gang_run(r)
    console.print(facts_table(_facts(r, run)))
    if run is not None:
        console.print()
        console.print(rank_table(run.ranks))
    if r.most_capable is not None:
        _show_most_capable(r.most_capable, r.cycle_batches)
    if r.most_capable_note and r.study.get("budget", {}).get("target_s"):
        console.print(f"\n  Most capable model: {r.most_capable_note}", markup=False)
    if r.alternatives:
        console.print("\n  Alternatives")
        for other in r.alternatives:
            console.print(f"    {other['trade']}", markup=False)
    if r.ruled_out:
        _show_rejected(r.ruled_out)
    console.print(
        f"\n  Show it again:  tonnage recommend --workload {r.workload} --budget {r.budget}"
        f"\n  Use it:         {_use_line(r)}",
        markup=False,
        soft_wrap=True,
    )


def _use_line(r: Recommendation) -> str:
    """A command is started as it was measured: its options need not have the names of ours."""
    options = r.workload_options
    return run_line(r.id, options) if options.get("command") else f"tonnage export {r.id} --to args"


def _facts(r: Recommendation, run: Measurement | None) -> list[tuple[str, str]]:
    """What is recommended, line by line. ``run`` is the confirmation run of several devices."""
    cycle = r.cycle_time_s
    return [
        ("config", config_text(r.config)),
        ("batch size", _batch(r)),
        ("limited by", limit_text(r.binding)),
        *(together_rows(run) if run is not None else []),
        *scaling_rows(r.scaling, r.scaling_note),
        (
            "cycle time",
            f"{duration_text(cycle['mean'])} for {r.cycle_batches} batches "
            f"({duration_text(cycle['low'])} to {duration_text(cycle['high'])})",
        ),
        ("throughput", rate(r.throughput_samples_per_s)),
        *_energy(r),
        ("peak memory", f"{size_text(r.peak_bytes)} of {size_text(r.limit_bytes)}"),
        *_uses(r),
        ("parameters", f"{r.parameters:,}" if r.parameters else "–"),
        ("train with", _environment(r.environment)),
        (
            "cost",
            f"{plural(r.study['trials'], 'config')}, {plural(r.study['probes'], 'probe')}, "
            f"{duration_text(r.study['wall_s'])}",
        ),
        *_predicted(r.study),
        *_notes(r),
        ("id", r.id),
    ]


def _notes(r: Recommendation) -> list[tuple[str, str]]:
    """What the confirmation run could not see, or saw that may matter later."""
    run = r.evidence.get("highest_passing") or {}
    return [("note", note) for note in run.get("notes", [])]


def _energy(r: Recommendation) -> list[tuple[str, str]]:
    run = r.evidence.get("highest_passing")
    rows = energy_rows(Measurement.from_dict(run)) if run else []
    if r.energy_per_cycle_j is None:
        return rows
    return [("energy per cycle", energy_text(r.energy_per_cycle_j)), *rows]


def _gang_run(r: Recommendation) -> Measurement | None:
    """The confirmation run of several devices; ``None`` for a single one."""
    return Measurement.from_dict(r.evidence["highest_passing"]) if r.ranks else None


def _batch(r: Recommendation) -> str:
    run = _gang_run(r)
    return batch_text(r.batch_size, r.accumulation) if run is None else run_batch_text(run)


def _uses(r: Recommendation) -> list[tuple[str, str]]:
    """The shares of window and memory; earlier releases did not store them."""
    uses = uses_text(r.share_of_window, r.share_of_memory)
    return [("uses", uses)] if uses else []


def _show_rejected(ruled_out: list[dict[str, Any]]) -> None:
    console = stdout()
    console.print("\n  Rejected")
    for out in ruled_out[:5]:
        text = f"    {config_text(out['config'])} ({out['state']}): {out['reason']}"
        console.print(text, markup=False)
    if len(ruled_out) > 5:
        console.print(f"    … and {len(ruled_out) - 5} more, see --json")


def _show_most_capable(model: dict[str, Any], cycle_batches: int) -> None:
    cycle = model["cycle_time_s"]
    parameters = f"{model['parameters']:,}" if model["parameters"] else "–"
    console = stdout()
    console.print("\n  Most capable model that fits the window")
    console.print(
        facts_table(
            [
                ("config", config_text(model["config"])),
                ("batch size", batch_text(model["batch_size"], model["accumulation"])),
                ("limited by", limit_text(model["binding"])),
                (
                    "cycle time",
                    f"{duration_text(cycle['mean'])} for {cycle_batches} batches "
                    f"({duration_text(cycle['low'])} to {duration_text(cycle['high'])})",
                ),
                ("throughput", rate(model["throughput_samples_per_s"])),
                ("uses", uses_text(model["share_of_window"], model["share_of_memory"])),
                ("parameters", parameters),
            ]
        )
    )


def _predicted(study: dict[str, Any]) -> list[tuple[str, str]]:
    """How accurate the predictions of the study were, as far as they can be compared."""
    names = {"peak_bytes": "peak memory", "step_time_s": "step time"}
    known = study.get("prediction_error", {})
    words = [
        f"{names.get(name, name)} {error_text(error['graded'], error['median'])}"
        for name, error in known.items()
    ]
    saved = study.get("probes_saved", 0)
    rows = [("predictions", ", ".join(words))] if words else []
    return [
        *rows,
        *([("saved", f"{plural(saved, 'probe')}, thanks to earlier results")] if saved else []),
    ]


def _paragraph(text: str, width: int | None) -> str:
    """Indented, and wrapped to the terminal's width; a pipe gets unwrapped lines."""
    indent = "  "
    if width is None:
        return indent + text
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


def _environment(environment: dict[str, Any]) -> str:
    settings = environment.get("allocator") or {}
    words = " ".join(f"{key}={value}" for key, value in settings.items())
    return f"torch {environment.get('torch', '?')} {words}".strip()
