"""Black-box commands as workloads: those in ``tonnage.toml``, and one that a command line gives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from app.settings.workloads import CommandSettings
from probes.black_box.command import command_of, interpreter_of, name_of, reference
from probes.black_box.config_file import names_in
from probes.black_box.template import placeholders
from probes.errors import InputError
from probes.interpreter import has_torch
from probes.job import WorkloadRef


def options_of(configured: CommandSettings, folder: Path) -> dict[str, Any]:
    """A command's table in ``tonnage.toml`` as the options of its workload."""
    given = configured.model_dump(exclude_none=True, exclude={"python"})
    return {**given, "cwd": str(folder / Path(given.get("cwd", "")).expanduser())}


def ad_hoc(
    text: str, options: Mapping[str, Any], pinned: Mapping[str, Any], folder: Path
) -> WorkloadRef:
    """The command of a command line, to be run in this folder.

    A placeholder that is pinned and has no dimension becomes one of a single value.
    Raises ``InputError``.
    """
    space = dict(options.get("space", {}))
    cwd = folder / Path(str(options.get("cwd", ""))).expanduser()
    names = placeholders(text)
    if config := options.get("config"):
        names += names_in(cwd / Path(str(config)).expanduser())
    space.update({n: [v] for n, v in pinned.items() if n in names and n not in space})
    given = {**options, "command": text, "space": space, "cwd": str(cwd)}
    workload = reference(name_of(text), given)
    command_of(workload)  # an error in it is reported before a device is looked for
    return workload


def interpreter(workload: WorkloadRef) -> str | None:
    """The interpreter that the command starts, if it can be determined and has torch: the torch
    that trains should describe the device."""
    try:
        found = interpreter_of(command_of(workload))
    except (InputError, OSError, ValueError):  # its folder may be gone, or another user's
        return None
    return found if found is not None and _has_torch(found) else None


_has_torch = cache(has_torch)
