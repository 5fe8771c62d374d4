"""What every command begins with: settings, logging, the database, and a workload by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import InputError
from probes.job import WorkloadRef

__all__ = [
    "absolute_spec",
    "find_workload",
    "fleet_address",
    "open_database",
    "open_settings",
    "set_verbosity",
    "verbosity",
]

if TYPE_CHECKING:
    from app.database import Database
    from app.fleet.address import FleetAddress
    from app.settings import Settings

_verbosity = 0


def set_verbosity(level: int) -> None:
    """-2 is quiet, 0 normal, 1 and more verbose. Set once, before the command runs."""
    global _verbosity  # noqa: PLW0603
    _verbosity = level


def verbosity() -> int:
    return _verbosity


def open_settings(**probe: Any) -> Settings:
    """Read the configuration and start logging. Raises ``InputError``.

    ``probe`` overrides keys of its ``[probe]`` table; ``None`` leaves a key as configured.
    """
    from app.logging_setup import configure_logging
    from app.settings import load_settings

    given = {key: value for key, value in probe.items() if value is not None}
    settings = load_settings(overrides={"probe": given} if given else None)
    configure_logging(_verbosity, settings.data_dir)
    return settings


def open_database(settings: Settings, url: str | None) -> Database:
    """The database, created or migrated to this version first if necessary."""
    from app.database import open_database

    return open_database(settings.database_url if url is None else url)


def fleet_address(
    settings: Settings, asked: str | None, token_file: Path | None
) -> FleetAddress | None:
    """The fleet that ``--fleet`` names; ``None`` without it. Raises ``InputError``, also where its
    engine is not installed."""
    if asked is None:
        if token_file is not None:
            raise InputError("--token-file is for a fleet: add --fleet ADDRESS or --fleet auto.")
        return None
    from app.fleet.address import find
    from app.fleet.running import require_engine

    require_engine()
    return find(settings, asked, token_file)


def find_workload(
    settings: Settings, workload: str, options: dict[str, Any], database: str | None = None
) -> tuple[WorkloadRef, str | None]:
    """The workload that a registered name, a file, a module or the name of a command in the
    database stands for, and the interpreter that trains it, where that is known.

    Raises ``InputError``.
    """
    from app.workloads.again import is_name_of_command
    from app.workloads.registry import entry_of

    if is_name_of_command(workload):
        return _measured_before(settings, workload, options, database)
    entry = entry_of(settings, workload)
    if entry is None:
        return WorkloadRef(absolute_spec(workload), options), None
    return entry.with_options(options), entry.python


def _measured_before(
    settings: Settings, workload: str, options: dict[str, Any], url: str | None
) -> tuple[WorkloadRef, str | None]:
    from app.workloads import commands
    from app.workloads.again import measured_before

    database = open_database(settings, url)
    try:
        reference = measured_before(database, workload, options)
    finally:
        database.close()
    return reference, commands.interpreter(reference)


def absolute_spec(spec: str) -> str:
    """With the path of a file made absolute, so that a workload is the same from any folder."""
    path, separator, name = spec.rpartition(":")
    if not separator:
        path, name = spec, ""
    if not path.endswith(".py"):
        return spec
    absolute = str(Path(path).expanduser().resolve())
    return f"{absolute}:{name}" if name else absolute
