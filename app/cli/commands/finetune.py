"""``tonnage finetune``: language models, fitted to this device before they train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.cli.finetuning import options as own
from app.cli.output import print_json, stdout
from probes.errors import InputError
from probes.formatting import parse_size, size_text

if TYPE_CHECKING:
    from app.machine.target import Target
    from app.settings import Settings
    from finetuning.run import FineTuning, Outcome

app = typer.Typer(
    help="Fine-tune language models on this device: presets that are fitted to it before they "
    "train, evaluation, and honest comparison. Needs: pip install 'tonnage[llm]'",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Output = Annotated[Path, typer.Option("--output", help="Folder of the run; created if needed.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="A named source of rows: game logs (a folder of game_N.json), JSONL or CSV with "
        "prompt and completion, or a folder of the library datasets. Wildcards work. Repeatable.",
        metavar="NAME=PATTERN",
    ),
]


@app.command("presets")
def presets(
    model: own.Model = None,
    set_: own.Set = None,
    device: options.Device = None,
    memory_budget: options.MemoryBudget = None,
    python: options.Python = None,
    json_: options.Json = False,
) -> None:
    """List the presets and what each sets. With --model, also measure which fit this device.

    Each preset is tried with one row of the full length, the least that it could train with.

    Example: tonnage finetune presets --model models/small --memory-budget 2GiB
    """
    from app.cli.finetuning.presets import measured, plain, show

    rows = plain()
    measuring = {"--set": set_, "--device": device, "--memory-budget": memory_budget}
    if model is None and (given := [name for name, value in measuring.items() if value]):
        raise InputError(f"{given[0]} needs --model: without one, nothing is measured.")
    if model is not None:
        settings = open_settings()
        budget_bytes = parse_size(memory_budget) if memory_budget else None
        target = _target(settings, python, device, budget_bytes)
        rows = measured(rows, model, set_, settings, target)
    if json_:
        print_json({"presets": rows})
        return
    show(rows)


@app.command("run")
def run(
    output: Output,
    model: own.Model = None,
    data: Data = None,
    preset: own.Preset = None,
    settings_file: own.SettingsFile = None,
    set_: own.Set = None,
    keep_settings: Annotated[
        bool,
        typer.Option(
            "--keep-settings",
            help="Only fit the micro-batch. Without this, settings that do not fit are changed: "
            "checkpointing, then an 8-bit optimizer, then QLoRA.",
        ),
    ] = False,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Prepare the data and stop.")
    ] = False,
    fit_only: Annotated[
        bool, typer.Option("--fit-only", help="Prepare, fit to the device, and stop.")
    ] = False,
    device: options.Device = None,
    memory_budget: options.MemoryBudget = None,
    headroom: options.Headroom = None,
    python: options.Python = None,
    wait: options.Wait = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Prepare the data, fit the settings to this device, and train.

    The largest micro-batch is measured on the very step that will train; the rows per optimizer
    step stay as the preset says, by accumulation. If the command is killed, run it again, or
    `tonnage finetune resume`, to continue. Ctrl-C saves a checkpoint first. Exit status 1 if the
    settings do not fit; 3 if it could not be measured.

    Example: tonnage finetune run --model models/small --data bfs=logs/bfs_* --output out
    """
    from finetuning.data.sources import parse_sources
    from finetuning.run import FineTuning

    wanted = own.settings_from(model, preset, settings_file, set_)
    sources = {source.name: list(source.patterns) for source in parse_sources(data or [])}
    for note in wanted.notes():
        typer.echo(f"Note: {note}", err=True)
    asked = FineTuning(
        settings=wanted,
        data=sources,
        output=output,
        device=device,
        memory_budget_bytes=parse_size(memory_budget) if memory_budget else None,
        may_change=not keep_settings,
        until="prepared" if prepare_only else "fitted" if fit_only else "trained",
    )
    _do(asked, open_settings(lease_wait_s=wait), python, database, headroom, json_)


@app.command("resume")
def resume(
    run_folder: own.RunFolderArgument,
    wait: options.Wait = None,
    headroom: options.Headroom = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Continue a run that was stopped or killed, from its last checkpoint."""
    from finetuning.run import FineTuning

    asked = FineTuning.resume(run_folder)
    _do(asked, open_settings(lease_wait_s=wait), asked.python, database, headroom, json_)


@app.command("evaluate")
def evaluate(
    run_folder: own.RunFolderArgument,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="language (perplexity, BLEU, ROUGE-L, exact match, speed), snake, "
            "path/to/task.yaml (of lm-evaluation-harness) or path/to/file.py:Class. "
            "Repeatable. Default: language.",
            metavar="NAME",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the task, such as games=20.", metavar="NAME=VALUE"),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Also evaluate this model on the same items: base (the one that the run began "
            "with), a folder, or a name.",
            metavar="MODEL",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many items.")] = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Evaluate a trained model, item by item; every row is kept for comparisons.

    Example: tonnage finetune evaluate out --task snake --baseline models/small
    """
    from app.cli.finetuning.evaluating import evaluate_run, show_evaluation

    found = evaluate_run(run_folder, task or ["language"], option or [], baseline, limit, database)
    if json_:
        print_json(found)
        return
    show_evaluation(found)


@app.command("compare")
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Evaluated runs: two or more, or one that was evaluated with --baseline.",
            metavar="RUN…",
        ),
    ],
    baseline: Annotated[
        Path | None, typer.Option(help="Compare every other run with this one only.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed for the resampling.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page.", metavar="FILE")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the tests as CSV.", metavar="FILE")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Compare evaluated runs with paired statistics on the items they have in common.

    Example: tonnage finetune compare out/lora out/qlora out/full --report comparison.html
    """
    from app.cli.finetuning.comparing import compare_runs

    compare_runs(runs, baseline, seed, report, csv, json_=json_)


@app.command("export")
def export(
    run_folder: own.RunFolderArgument,
    to: Annotated[
        str,
        typer.Option(
            help="merged (one model), adapter (the adapters alone) or gguf-ready (merged, in "
            "float16, for llama.cpp's converter).",
            metavar="FORM",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: RUN/FORM.", metavar="FOLDER")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Write the trained model in a form that other programs read."""
    from finetuning.run import FineTuning
    from finetuning.training.export import Form

    known = [form.value for form in Form]
    if to not in known:
        raise InputError(f"--to {to}: choose one of {', '.join(known)}.")
    made = FineTuning.resume(run_folder).export(Form(to), output)
    if json_:
        print_json(made)
        return
    typer.echo(f"{made['destination']} ({size_text(made['size_bytes'])})")


def _target(
    settings: Settings, python: str | None, device: str | None, budget_bytes: int | None
) -> Target:
    from app.machine.target import open_single

    return open_single(settings, python, device, budget_bytes, "A fine-tuning")


def _do(
    asked: FineTuning,
    settings: Settings,
    python: str | None,
    database: str | None,
    headroom: float | None,
    json_: bool,
) -> None:
    from app.cli.finetuning.execute import execute
    from app.finetunings.running import done_and_stored

    store = open_database(settings, database)
    outcome = done_and_stored(asked, store)
    if outcome is None:
        target = _target(settings, python, asked.device, asked.memory_budget_bytes)
        asked = replace(asked, device=target.facts.device, python=target.prober.python)
        kept = settings.headroom if headroom is None else headroom
        outcome = execute(asked, settings, target, store, kept)
    if json_:
        print_json(document(outcome))
    else:
        _show(outcome)
    raise typer.Exit(exit_code(outcome))


def document(outcome: Outcome) -> dict[str, Any]:
    """What ``--json`` prints of a run."""
    return {
        "state": outcome.state.value,
        "output": str(outcome.folder),
        "reason": outcome.reason,
        **(outcome.facts or {}),
        **({} if outcome.fit is None else {"fit": dict(outcome.fit)}),
    }


def exit_code(outcome: Outcome) -> int:
    """0 if what was asked for is done, 1 if it does not fit or ran out of memory, 3 if it failed
    otherwise, 130 if it was stopped."""
    from finetuning.run_folder import RunState

    if outcome.as_asked:
        return 0
    if outcome.state is RunState.STOPPED:
        return 130
    failed = (outcome.facts or {}).get("failed")
    return 1 if failed is None or failed["verdict"] == "oom" else 3


def _show(outcome: Outcome) -> None:
    from app.cli.finetuning.display import outcome_lines

    console = stdout()
    for line in outcome_lines(outcome):
        console.print(line, markup=False)
