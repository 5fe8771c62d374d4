"""The source of a recommendation's workload as it is now.

A command is looked at in this process. Of any other workload a worker is asked, unless what it said
earlier still holds (see ``app.machine.local_facts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.machine.local_facts import timeouts, workload_here
from app.workloads import commands
from app.workloads.place import placed
from app.workloads.registry import entry_of
from probes.black_box.command import is_command
from probes.errors import InputError, MeasurementError
from probes.formatting import first_line
from probes.job import WorkloadRef

if TYPE_CHECKING:
    from app.settings import Settings
    from optimizer.records import Recommendation


@dataclass(frozen=True)
class SourceNow:
    """The hash of a workload's source and options; ``None`` where it was not found out."""

    source_hash: str | None = None
    folder: str = ""
    """Of a command: where the script is that was looked at, if it was measured in another one."""
    doubt: str = ""
    """A sentence: the workload cannot be loaded here, so its source may be any."""
    warning: str = ""
    """A sentence: nothing could be asked here, which says nothing of the workload; or a command was
    looked at in the folder of its measurement, because the current one has no script of it; or some
    of its sources were not found, so that an edit of them is not noticed."""


def interpreter_of(settings: Settings, recommendation: Recommendation) -> str | None:
    """The interpreter that trains its workload, whose torch describes the device; ``None`` for the
    default one, and where it cannot be told. Never raises: why it cannot, ``source_of`` says."""
    try:
        entry = entry_of(settings, recommendation.workload)
        if entry is not None:
            return entry.python
        workload = WorkloadRef(recommendation.workload, recommendation.workload_options)
        if not is_command(workload):
            return None
        return commands.interpreter(placed(workload, [Path.cwd()], None).workload)
    except (InputError, OSError, ValueError):  # the current folder may be gone as well
        return None


def source_of(
    settings: Settings,
    recommendation: Recommendation,
    options: Mapping[str, Any],
    python: str | None,
) -> SourceNow:
    """The source of its workload now, with these options; of a command, that of the script in the
    current folder where it has one. Nothing is looked at for a recommendation that there is no hash
    of. Never raises: a run is not kept from starting by what is gone."""
    if recommendation.valid.get("workload_hash") is None:
        return SourceNow()
    name = where = recommendation.workload
    note = ""
    try:
        entry = entry_of(settings, name)
        workload = WorkloadRef(
            entry.reference if entry else name, {**(entry.options if entry else {}), **options}
        )
        measured_in = str(workload.options.get("cwd", ""))
        if is_command(workload):
            place = placed(workload, [Path.cwd()], recommendation.valid["workload_hash"])
            workload, note = place.workload, place.note
            where = f"{name} in {workload.options.get('cwd') or Path.cwd()}"
        described = workload_here(
            workload.spec,
            workload.options,
            python or (entry.python if entry else None),
            timeouts(settings),
            refresh=False,
        )
    except MeasurementError as error:
        why = f"The source of {where} could not be compared: {first_line(error)}"
        return SourceNow(warning=why)
    except (InputError, OSError, ValueError) as error:
        why = f"The source of {where} could not be compared: {first_line(error)}"
        return SourceNow(doubt=why)
    folder = str(workload.options.get("cwd", ""))
    folder = "" if folder == measured_in else folder
    unseen = described["notes"] if is_command(workload) else []
    warning = " ".join(filter(None, [note, *unseen]))
    return SourceNow(str(described["source_hash"]), folder, warning=warning)
