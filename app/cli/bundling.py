"""A workload of this host for hosts that do not have it: its working directory as a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.context import absolute_spec
from app.settings.fields import NAME
from probes.errors import InputError

if TYPE_CHECKING:
    from app.bundles.packing import Bundle
    from app.settings import Settings


@dataclass(frozen=True)
class SentWorkload:
    """A workload in a bundle."""

    label: str
    """What its results are kept under: the same as on this host."""
    entry: str
    """Where it is in the bundle."""
    folder: Path
    bundle: Bundle

    @property
    def fields(self) -> dict[str, Any]:
        """Those of ``StudyRequest``."""
        return {"workload": self.label, "bundle": self.bundle.id, "bundle_entry": self.entry}

    @property
    def left_out(self) -> Sequence[str]:
        """What was not sent, in words."""
        return self.bundle.left_out


def bundled(settings: Settings, workload: str) -> SentWorkload | None:
    """The workload with its working directory; ``None`` for a registered name, which every host
    looks up for itself.

    That directory is the current one, or the folder of a file that lies elsewhere. Raises
    ``InputError`` for a file or module that is not there, and for a directory that is too large.
    """
    if NAME.fullmatch(workload):
        return None
    from app.bundles.packing import pack_folder

    label = absolute_spec(workload)
    folder, entry = _place(workload, label)
    return SentWorkload(label, entry, folder, pack_folder(folder, settings.bundles))


def _place(workload: str, label: str) -> tuple[Path, str]:
    here = Path.cwd().resolve()
    place, separator, name = label.rpartition(":")
    if not separator:
        place, name = label, ""
    if not place.endswith(".py"):
        top = here / place.partition(".")[0]
        if not (top.is_dir() or top.with_suffix(".py").is_file()):
            raise InputError(
                f"There is no module {top.name!r} in {here} to send. Give the name of a workload "
                "that the nodes have registered, or path/to/file.py:Class."
            )
        return here, workload
    file = Path(place)
    if not file.is_file():
        raise InputError(f"There is no file {file}.")
    folder = here if file.is_relative_to(here) else file.parent
    entry = file.relative_to(folder).as_posix()
    return folder, f"{entry}:{name}" if name else entry
