"""A memory budget beside the memory that a device has."""

from __future__ import annotations

from probes.errors import InputError
from probes.formatting import size_text


def check_budget(budget_bytes: int, device: str, total_bytes: int) -> None:
    """Raise ``InputError`` for a ``--memory-budget`` of more than the device has."""
    if budget_bytes > total_bytes:
        raise InputError(
            f"--memory-budget {size_text(budget_bytes)} is more than {device} has "
            f"({size_text(total_bytes)})."
        )
