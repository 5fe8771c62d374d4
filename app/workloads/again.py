"""A command that was measured, by the name that its results have: ``command:train.py``.

The name says nothing of the template, the space or the folder: these are among the stored options.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.workloads import commands, repository
from probes.black_box.command import SPEC
from probes.black_box.config_file import names_in
from probes.black_box.template import as_text, placeholders, split
from probes.errors import InputError
from probes.space import as_space
from probes.space_text import parse_dimension

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.database import Database
    from probes.job import WorkloadRef


def is_name_of_command(workload: str) -> bool:
    return workload.startswith(SPEC)


def stored_options(session: Session, workload: str) -> dict[str, Any]:
    """The options of the workload when it was last measured; empty where it never was."""
    row = repository.newest(session, workload)
    return dict(row.options) if row is not None else {}


def measured_before(database: Database, workload: str, options: Mapping[str, Any]) -> WorkloadRef:
    """The command as it was last measured under this name, with ``options`` on top. Raises
    ``InputError``, also where it is not stored."""
    with database.read() as session:
        stored = stored_options(session, workload)
    if not stored.get("command"):
        raise InputError(
            f"No command is stored here as {workload}. Measure it first: {tune_line(workload)}, or "
            "register it in tonnage.toml as [commands.NAME], and use that name."
        )
    space = {**stored.get("space", {}), **options.get("space", {})}
    return commands.ad_hoc(stored["command"], {**stored, **options, "space": space}, {}, Path.cwd())


def settable(workload: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """By name, the values that can be set of a command with these options: a dimension, or ``None``
    where any will do. ``None`` for a workload, which takes every lever. Of files, the template of
    the configuration is read, if it is there."""
    text = options.get("command")
    if not text:
        return {} if is_name_of_command(workload) else None
    texts = (text, options.get("log") or "", *options.get("env", {}).values())
    named = {name for each in texts for name in placeholders(each)} | _in_config(options)
    space = {name: parse_dimension(each) for name, each in options.get("space", {}).items()}
    return {**dict.fromkeys(named & {"accumulation"}), **as_space(space)}


def _in_config(options: Mapping[str, Any]) -> set[str]:
    """The placeholders of the configuration file; none without one, or where it is gone."""
    if not options.get("config"):
        return set()
    path = Path(options.get("cwd") or "", Path(options["config"]).expanduser())
    try:
        return set(names_in(path)) if path.is_file() else set()
    except OSError:
        return set()


def measured_hash(database: Database, workload: str) -> str | None:
    """The hash of its source and options when it was last measured."""
    with database.read() as session:
        row = repository.newest(session, workload)
        return row.source_hash if row is not None else None


def tune_line(workload: str, options: Mapping[str, Any] | None = None) -> str:
    """How to measure it: a line for a shell. ``options`` are those that a command was measured
    with; without them it is left open what the command is."""
    if not is_name_of_command(workload):
        return f"tonnage tune {shlex.quote(workload)}"
    if not options or not options.get("command"):
        return "tonnage tune --command 'python … {batch_size}'"
    rest = {k: v for k, v in options.items() if k not in ("command", "space", "step")}
    if rest.get("cwd") == str(Path.cwd()):
        del rest["cwd"]
    words = ["tonnage", "tune", "--command", str(options["command"])]
    for name, values in options.get("space", {}).items():
        words += ["--space", f"{name}={_values(values)}"]
    if options.get("step"):
        words += ["--step", str(options["step"])]
    for name, value in rest.items():
        if value:
            words += ["--option", f"{name}={as_text(value)}"]
    return shlex.join(words)


def run_line(recommendation_id: str, options: Mapping[str, Any]) -> str:
    """How to train with a recommendation for a command, measured with these options: a line for a
    shell. What only a probe has a value for is in capitals, to be replaced."""
    text = str(options["command"]).strip()
    for name in ("run_dir", "steps"):
        text = text.replace(f"{{{name}}}", name.upper())
    words = ["tonnage", "run", "--recommendation", recommendation_id]
    folder = str(options.get("cwd") or Path.cwd())
    if config := options.get("config"):
        words += ["--config", str(config)]
    env = [f"{name}={value}" for name, value in (options.get("env") or {}).items()]
    command = ["/bin/sh", "-c", text] if options.get("shell") else split(text)
    line = shlex.join([*words, "--", *(["env", *env] if env else []), *command])
    return line if folder == str(Path.cwd()) else f"cd {shlex.quote(folder)} && {line}"


def tune_line_of(database: Database, workload: str) -> str:
    """The same, with the options that the workload was last measured with."""
    with database.read() as session:
        return tune_line(workload, stored_options(session, workload))


def _values(dimension: Any) -> str:
    """As ``--space`` takes them: a command line knows no other form than a text or a list."""
    if isinstance(dimension, Sequence) and not isinstance(dimension, str):
        return ",".join(as_text(each) for each in dimension)
    return as_text(dimension)
