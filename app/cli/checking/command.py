"""The options of ``tonnage check``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli import options

Format = Literal["text", "json", "junit", "sarif", "github", "markdown"]


@dataclass(frozen=True, kw_only=True)
class CheckCommand:
    """As they were typed. Each field becomes an option of the command."""

    config_file: Annotated[
        Path | None,
        typer.Argument(
            help="The file that the run reads: TrainingArguments, accelerate, DeepSpeed, Hydra or "
            "any other JSON, YAML, TOML or KEY=value file, or one that tonnage export wrote.",
            metavar="CONFIG_FILE",
        ),
    ] = None
    workload: Annotated[
        str | None,
        typer.Option(
            help="What is trained: a registered name, path/to/file.py:Class or "
            "package.module:Class. Default: the workload of the recommendation in CONFIG_FILE."
        ),
    ] = None
    command: Annotated[
        str | None,
        typer.Option(
            help="What is trained is a command, as probe, max-batch and tune take it. One that was "
            "measured has a name for --workload too: command:train.py.",
            metavar="TEMPLATE",
        ),
    ] = None
    space: options.Space = None
    step: options.Step = None
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=options.LARGEST_BATCH, help="Samples per batch.")
    ] = None
    accumulation: Annotated[
        int | None, typer.Option(min=1, max=options.MOST_STEPS, help="Batches per optimizer step.")
    ] = None
    set_: options.Set = None
    option: options.Option = None
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Where CONFIG_FILE has a value that is not found by itself: "
            "batch_size=data.loader.bs. Repeatable.",
            metavar="NAME=PATH",
        ),
    ] = None
    budget: Annotated[
        str | None,
        typer.Option(
            help="Also check that a cycle finishes in time. Default: the budget of the "
            "recommendation in CONFIG_FILE."
        ),
    ] = None
    time_scale: Annotated[
        float | None,
        typer.Option(min=1e-6, max=options.LARGEST_SCALE, help="Multiply the times of the budget."),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, cuda:0, mps or xpu:0 here, or the name or fingerprint of another machine's "
            "device that has results. Default: the best one here."
        ),
    ] = None
    devices: options.PlannedDevices = None
    memory_budget: options.MemoryBudget = None
    headroom: options.Headroom = None
    probe: Annotated[
        Literal["quick", "full"] | None,
        typer.Option(help="Measure it here first: a few steps, or the full confirmation run."),
    ] = None
    on_unknown: Annotated[
        Literal["fail", "warn", "probe"],
        typer.Option(
            help="If nothing valid was measured: fail (status 3), warn (status 0) or probe "
            "(measure it here, in full)."
        ),
    ] = "fail"
    server: options.Server = None
    api_key: options.ApiKey = None
    format_: Annotated[Format, typer.Option("--format", help="How the answer is printed.")] = "text"
    json_: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the answer to this file, and text to stdout."),
    ] = None
    report: Annotated[
        list[str] | None,
        typer.Option(
            help="Also write the answer to a file in this format: junit=report.xml. Repeatable.",
            metavar="FORMAT=FILE",
        ),
    ] = None
    summary: Annotated[
        bool, typer.Option("--summary", help="Also append Markdown to $GITHUB_STEP_SUMMARY.")
    ] = False
    explain: Annotated[
        bool, typer.Option("--explain", help="List what was compared with what.")
    ] = False
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Ask torch about the device and the workload again instead of using what it said "
            "within the last day.",
        ),
    ] = False
    python: options.Python = None
    wait: options.Wait = None
    database: options.Database = None
