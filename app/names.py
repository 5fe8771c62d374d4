"""Names: the environment variables of clients, and what a person may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SERVER_VARIABLE, KEY_VARIABLE = "TONNAGE_SERVER", "TONNAGE_KEY"
"""The environment variables that name a service and the API key for it."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name most like ``name``, if any is alike."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None
