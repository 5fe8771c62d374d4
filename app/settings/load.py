"""Reading the settings: defaults, then the file, then the environment, later ones winning.

Tables are merged key by key; lists are replaced as a whole.
"""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_dir
from pydantic import ValidationError

from app.names import nearest
from app.settings import defaults
from app.settings.environment import CONFIG_VARIABLE, merge, read_environment
from app.settings.messages import explain
from app.settings.model import APPLICATION, Settings
from probes.errors import InputError

FILE_NAME = "tonnage.toml"

log = logging.getLogger(__name__)


def find_file(environ: Mapping[str, str] | None = None) -> Path | None:
    """The configuration file that applies: named, here, or the user's. ``None`` without one.

    Raises ``InputError`` when ``TONNAGE_CONFIG`` names a file that is not there.
    """
    named = (os.environ if environ is None else environ).get(CONFIG_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise InputError(
                f"{CONFIG_VARIABLE}={named}: the file does not exist. Correct the path, or unset "
                f"{CONFIG_VARIABLE} to use {FILE_NAME} in the working directory."
            )
        return path
    for folder in (Path.cwd(), Path(user_config_dir(APPLICATION))):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def load_settings(
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in force. ``overrides`` (command-line options) win over everything.

    Raises ``InputError`` for anything wrong in the file, the environment or the overrides;
    the message names the key, the value and where it was written.
    """
    environ = os.environ if environ is None else environ
    path = find_file(environ)
    from_file = _read_file(path) if path else {}
    from_environment = read_environment(environ)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    base = {"budgets": defaults.BUDGETS, "workloads": defaults.WORKLOADS}
    merged = merge(merge(merge(base, from_file), from_environment), given)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise InputError(explain(error, path, environ, given)) from None
    settings._file = path
    _warn_of_new_budgets(settings, path)
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = f", line {where[1]}" if where and where[1] else ", at its end" if where else ""
        what = re.sub(r"\s*\(at [^)]*\)", "", str(error))
        raise InputError(f"{path}{line}: not valid TOML: {what}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    return _anchored(data, path.resolve().parent)


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths in the file count from its own folder, wherever the command is run."""
    data_dir = data.get("data_dir")
    if isinstance(data_dir, str) and data_dir and not data_dir.startswith("~"):
        data["data_dir"] = str(folder / data_dir)
    url = data.get("database_url")
    if isinstance(url, str):
        relative = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)", url)
        if relative:
            data["database_url"] = f"{relative[1]}{folder / relative[2]}{relative[3]}"
    knowledge = data.get("knowledge")
    paths = knowledge.get("paths") if isinstance(knowledge, dict) else None
    if isinstance(paths, list):
        data["knowledge"]["paths"] = [
            str(folder / Path(path).expanduser()) if isinstance(path, str) else path
            for path in paths
        ]
    _anchor_finetuning(data.get("finetuning"), folder)
    bundles = data.get("bundles")
    if isinstance(bundles, dict):
        _anchor_workload(bundles, folder)
    for name in ("workloads", "commands"):
        table = data.get(name)
        for entry in table.values() if isinstance(table, dict) else ():
            if isinstance(entry, dict):
                if name == "commands" and isinstance(cwd := entry.get("cwd", ""), str):
                    entry["cwd"] = str(folder / Path(cwd).expanduser())
                _anchor_workload(entry, folder)
    return data


def _anchor_finetuning(table: Any, folder: Path) -> None:
    """A model that is not a folder is a name in the hub's local cache."""
    if not isinstance(table, dict):
        return

    def absolute(path: str) -> str:
        return str(folder / Path(path).expanduser())

    for key in ("models", "data", "tasks"):
        given = table.get(key)
        entries: dict[str, Any] = given if isinstance(given, dict) else {}
        for name, path in entries.items():
            if isinstance(path, str) and (key != "models" or Path(absolute(path)).exists()):
                entries[name] = absolute(path)
    output, python = table.get("output"), table.get("python")
    if isinstance(output, str):
        table["output"] = absolute(output)
    if isinstance(python, str) and "/" in python:
        table["python"] = absolute(python)


def _anchor_workload(workload: dict[str, Any], folder: Path) -> None:
    """A file is named by its path, an interpreter by its path or as a command: ``python3.12``."""
    reference, python = workload.get("reference"), workload.get("python")
    if isinstance(reference, str):
        path, separator, name = reference.rpartition(":")
        path, name = (path, name) if separator else (reference, "")
        if path.endswith(".py"):
            absolute = str((folder / Path(path).expanduser()).resolve())
            workload["reference"] = f"{absolute}:{name}" if name else absolute
    if isinstance(python, str) and "/" in python:
        # Not resolved: a link into a virtual environment means that environment.
        workload["python"] = str(folder / Path(python).expanduser())


def _warn_of_new_budgets(settings: Settings, path: Path | None) -> None:
    """A new budget is allowed; one that looks like a known name is more likely a slip."""
    for name in settings.budgets:
        near = nearest(name, defaults.BUDGETS, cutoff=0.8)
        if name not in defaults.BUDGETS and near:
            log.warning(
                "%s defines a new budget %r. Did you mean %r?",
                path.name if path else "The environment",
                name,
                near,
            )
