"""The formats by their name for ``--to``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.fleet_answers.exports.kubernetes import to_kubernetes
from app.fleet_answers.exports.slurm import to_slurm
from app.settings import Settings


@dataclass(frozen=True)
class RequestFormat:
    """A scheduler's format."""

    reader: str
    """A short description of the program that reads it."""
    make: Callable[[Settings, Mapping[str, Any]], str]
    """From the document of an answer, with its ``id``. Raises ``Conflict`` where nothing was
    chosen."""


FORMATS = {
    "slurm": RequestFormat("Slurm's sbatch", to_slurm),
    "kubernetes": RequestFormat("kubectl or kustomize, as a patch of a Job", to_kubernetes),
}
