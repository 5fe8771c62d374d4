"""``--dry-run``: the exact commands that would run, shown before a device is used."""

from __future__ import annotations

import shlex
import tempfile
from typing import Any

from app.cli.context import open_settings
from app.cli.measuring import MeasuringOptions
from app.cli.output import facts_table, print_json, stdout
from optimizer.formatting import config_text
from probes.black_box.command import Command, command_of, is_command
from probes.errors import InputError
from probes.formatting import plural
from probes.group import Group, group_as_written, group_of, is_group
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.max_batch import DEFAULT_START
from probes.measurement import Config
from probes.space import Choice, Float, grid

FOUND_IN_OUTPUT = "found in its output when it runs"
MOST_SHOWN = 20


def show_dry_run(
    shared: MeasuringOptions, *, batch_size: int | None = None, every: bool = False
) -> None:
    """Print what ``probe`` (with its batch size), ``max-batch`` or ``tune`` (``every`` config)
    would run. Raises ``InputError``."""
    from probes.interpreter import resolve_python

    _ = shared.budgets  # a size that cannot be read is an error here too
    workload, own_python, pinned = shared.find(open_settings())
    show(
        workload,
        configs_of(workload, pinned, every=every),
        python=resolve_python(shared.python or own_python),
        batch_size=batch_size,
        effective_batch_size=shared.effective_batch_size,
        group=_group(shared),
        json_=shared.json_,
    )


def _group(shared: MeasuringOptions) -> Group | None:
    """The devices that would train as one; none of them is looked at. Raises ``InputError``."""
    if shared.nodes is not None:
        raise InputError("--nodes does not go with a command: its ranks are on one machine.")
    if shared.devices is not None:
        return group_as_written(shared.devices, shared.device)
    device = shared.device
    return group_of(device) if device is not None and is_group(device) else None


def show(
    workload: WorkloadRef,
    configs: list[Config],
    *,
    python: str,
    batch_size: int | None,
    effective_batch_size: int | None,
    group: Group | None = None,
    json_: bool,
) -> None:
    """Print the command of each config with ``batch_size``, or with the first batch size that a
    search would try. Raises ``InputError`` if the workload is not a command."""
    if not is_command(workload):
        raise InputError(
            "--dry-run shows training commands: give --command or the name of a registered command."
        )
    command = command_of(workload)
    batch = batch_size or min(DEFAULT_START, command.dataset_size or DEFAULT_START)
    if effective_batch_size is not None:
        ranks = 1 if group is None else group.size
        batch = min(batch, -(-effective_batch_size // ranks))
    run_dir, config_dir = (
        f"{tempfile.gettempdir()}/tonnage-{use}-XXXXXXXX" for use in ("run", "config")
    )
    documents = []
    for config in configs:
        job = ProbeJob(
            workload,
            config,
            batch,
            "cpu" if group is None else group.label,
            CONFIRM_PLAN if batch_size else BRACKET_PLAN,
            effective_batch_size=effective_batch_size,
            group=group,
        )
        documents.append(_document(command, job, command.values(job, run_dir, python, config_dir)))
    if json_:
        print_json(
            {
                "workload": workload.label,
                "cwd": str(command.folder),
                "steps": command.log or command.step or FOUND_IN_OUTPUT,
                "commands": documents,
            }
        )
        return
    _print(command.log, command.step, str(command.folder), documents)


def _document(command: Command, job: ProbeJob, values: dict[str, Any]) -> dict[str, Any]:
    """One command with its placeholders filled in by ``values``."""
    document = {
        "config": job.config,
        "batch_size": job.batch_size,
        "argv": command.argv(values),
        "environment": command.environment(values),
        "command": command.shown(values),
    }
    if command.config:
        document["config_file"] = {"path": values["config"], "text": command.config_text(values)}
    return document


def configs_of(workload: WorkloadRef, pinned: dict[str, Any], *, every: bool) -> list[Config]:
    """The configs that would be tried: ``every`` one, or the one that ``max-batch`` would use.

    Raises ``InputError``.
    """
    from probes import levers

    if not is_command(workload):
        return []
    space = levers.pinned(command_of(workload).space, pinned)
    if every:
        ends = {
            name: Choice([d.low, d.high]) if isinstance(d, Float) else d
            for name, d in space.items()
        }
        return grid(ends) or []
    return [{n: d.low if isinstance(d, Float) else d.values()[0] for n, d in space.items()}]


def _print(log: str, pattern: str, folder: str, documents: list[dict[str, Any]]) -> None:
    console = stdout()
    told = f"the log {log}" if log else FOUND_IN_OUTPUT
    if pattern and not log:
        told = f"its output, lines that match {pattern}"
    rows = [("working directory", folder), ("steps read from", told)]
    if environment := documents[0]["environment"]:
        words = " ".join(f"{name}={shlex.quote(text)}" for name, text in environment.items())
        rows.append(("environment", words))
    console.print(facts_table(rows))
    console.print(
        f"\nNothing was run. With batch {documents[0]['batch_size']}, "
        f"{plural(len(documents), 'config')}:",
        markup=False,
    )
    for document in documents[:MOST_SHOWN]:
        if document["config"]:
            console.print(f"# {config_text(document['config'])}", markup=False)
        console.print(document["command"], markup=False, soft_wrap=True)
    if len(documents) > MOST_SHOWN:
        console.print(f"… and {len(documents) - MOST_SHOWN} more; --json shows all", markup=False)
    if config_file := documents[0].get("config_file"):
        console.print(f"\n{config_file['path']} of the first:", markup=False)
        console.print(config_file["text"].rstrip(), markup=False, highlight=False, soft_wrap=True)
