"""Changes of settings as a person types them: ``training.epochs=1 lora.r=32``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from probes.errors import InputError
from probes.space_text import parse_assignments

LISTS = ("target_modules", "report_to")
"""Settings that are lists, typed with commas."""


def parse_changes(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """Dotted name to value, for ``FineTuningSettings.changed``. ``option`` is what an error calls
    them. Raises ``InputError`` for one that is not NAME=VALUE, and for the name of a preset."""
    changes = parse_assignments(list(pairs), option)
    if (named := changes.get("preset")) is not None:
        raise InputError(f"A preset is many settings: give --preset {named} instead of {option}.")
    return {name: _listed(name, value) for name, value in changes.items()}


def _listed(name: str, value: Any) -> Any:
    """``lora.target_modules=q_proj,v_proj`` is a list, in brackets or not."""
    if name.rpartition(".")[2] in LISTS and isinstance(value, str):
        parts = (part.strip(" \"'") for part in value.strip("[] ").split(","))
        return [part for part in parts if part]
    return value
