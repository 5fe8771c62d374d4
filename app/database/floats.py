"""NaN and infinities, which JSON does not have, in documents that are stored as JSON."""

from __future__ import annotations

from typing import Any

from probes.formatting import is_non_finite

MARKER = "$float"
"""The only key of the object that replaces such a number."""


def encoded(value: Any) -> Any:
    """The JSON that a value of a ``Document`` is stored as."""
    if is_non_finite(value):
        return {MARKER: str(value)}
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(item) for item in value]
    return value


def decoded(value: Any) -> Any:
    """The value of a ``Document``, from the JSON that it was stored as."""
    if isinstance(value, dict):
        if set(value) == {MARKER}:
            return float(value[MARKER])
        return {key: decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return value
