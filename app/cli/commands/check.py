"""``tonnage check``: the pre-training hook."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli import options
from app.cli.context import open_settings
from probes.errors import InputError

BUSY_TIMEOUT_S = 2.0
"""How long to wait to store an answer: less than a pipeline may be kept waiting."""
Format = Literal["text", "json", "junit", "sarif", "github", "markdown"]


def check(
    config_file: Annotated[
        Path | None,
        typer.Argument(
            help="The file that the run reads: TrainingArguments, accelerate, DeepSpeed, Hydra or "
            "any other JSON, YAML, TOML or KEY=value file, or one that tonnage export wrote.",
            metavar="CONFIG_FILE",
        ),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(
            help="What is trained: a registered name, path/to/file.py:Class or "
            "package.module:Class. Default: the workload of the recommendation in CONFIG_FILE."
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples per batch.")] = None,
    accumulation: Annotated[
        int | None, typer.Option(min=1, help="Batches per optimizer step.")
    ] = None,
    set_: options.Set = None,
    option: options.Option = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Where CONFIG_FILE has a value that is not found by itself: "
            "batch_size=data.loader.bs. Repeatable.",
            metavar="NAME=PATH",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Also check that a cycle finishes in time. Default: the budget of the "
            "recommendation in CONFIG_FILE."
        ),
    ] = None,
    time_scale: Annotated[
        float | None, typer.Option(min=1e-6, help="Multiply the times of the budget.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, cuda:0, mps or xpu:0 here, or the name or fingerprint of another machine's "
            "device that has results. Default: the best one here."
        ),
    ] = None,
    memory_budget: options.MemoryBudget = None,
    headroom: options.Headroom = None,
    probe: Annotated[
        Literal["quick", "full"] | None,
        typer.Option(help="Measure it here first: a few steps, or the full confirmation run."),
    ] = None,
    on_unknown: Annotated[
        Literal["fail", "warn", "probe"],
        typer.Option(
            help="If nothing valid was measured: fail (status 3), warn (status 0) or probe "
            "(measure it here, in full)."
        ),
    ] = "fail",
    server: options.Server = None,
    api_key: options.ApiKey = None,
    format_: Annotated[
        Format, typer.Option("--format", help="How the answer is printed.")
    ] = "text",
    json_: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the answer to this file, and text to stdout."),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option(
            help="Also write the answer to a file in this format: junit=report.xml. Repeatable.",
            metavar="FORMAT=FILE",
        ),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Also append Markdown to $GITHUB_STEP_SUMMARY.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="List what was compared with what.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Ask torch about the device and the workload again instead of using what it said "
            "within the last day.",
        ),
    ] = False,
    python: options.Python = None,
    wait: options.Wait = None,
    database: options.Database = None,
) -> None:
    """Check whether a planned training run will fit and finish in time on this device.

    Compares the plan with stored measurements. The first line is the answer with its reason, and
    every answer is stored. Exit status 0 if it fits, 1 if it does not or is too slow, 3 if nothing
    valid was measured.

    Example: tonnage check --workload transformer --set layers=2 --batch-size 64
    """
    from app.cli.checking.answer import answer
    from app.cli.checking.question import CheckCommand
    from app.database import open_database

    command = CheckCommand(
        config_file=config_file,
        workload=workload,
        batch_size=batch_size,
        accumulation=accumulation,
        set_=set_,
        option=option,
        keys=key,
        budget=budget,
        time_scale=time_scale,
        device=device,
        memory_budget=memory_budget,
        headroom=headroom,
        probe=probe,
        probe_unknown=on_unknown == "probe",
        server=server,
        api_key=api_key,
        refresh=refresh,
        python=python,
        database=database,
    )
    settings = open_settings(lease_wait_s=wait)
    url = database or settings.database_url
    store = cache(lambda: open_database(url, busy_timeout_s=BUSY_TIMEOUT_S))
    found = {**answer(command, settings, store), "tolerated": on_unknown == "warn"}
    _print(found, "json" if json_ else format_, output, report or [], explain=explain)
    if summary:
        _summarise(found)
    for warning in found["warnings"]:
        print(f"Warning: {warning}", file=sys.stderr)
    raise typer.Exit(exit_code(found))


def exit_code(answer: dict[str, Any]) -> int:
    """0 fits, 1 does not fit or is too slow, 3 unknown or stale (0 where that is tolerated)."""
    if answer["verdict"] == "fits":
        return 0
    if answer["verdict"] in ("does_not_fit", "too_slow"):
        return 1
    return 0 if answer["tolerated"] else 3


def _print(
    answer: dict[str, Any], form: str, output: Path | None, reports: list[str], *, explain: bool
) -> None:
    from app.checks.formats import render

    text = render(answer, form, explain=explain)
    files = [(name, file) for name, _, file in (report.partition("=") for report in reports)]
    if output is not None:
        files.append((form, str(output)))
        text = render(answer, "text", explain=explain)
    for name, file in files:
        if not file:
            raise InputError(f"--report {name}: write it as --report junit=report.xml.")
        try:
            Path(file).write_text(render(answer, name, explain=explain), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    sys.stdout.write(text)
    sys.stdout.flush()


def _summarise(answer: dict[str, Any]) -> None:
    from app.checks.formats import render

    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        print("Warning: --summary: GITHUB_STEP_SUMMARY is not set.", file=sys.stderr)
        return
    with Path(file).open("a", encoding="utf-8") as page:
        page.write(render(answer, "markdown"))
