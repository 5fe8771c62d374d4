"""A search space as a table shows it, and values as a form sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from probes.space import Dimension, Float, Space
from probes.space_text import dimension_text, value_text

MOST_OPTIONS = 200
"""With at most this many values a form offers a list, otherwise a text field."""


class SpaceRow(NamedTuple):
    """A dimension."""

    name: str
    words: str
    """``1, 2, 4`` or ``2 to 12``."""
    options: list[tuple[str, str]]
    """What a form sends and what it shows; empty if the value has to be typed."""


def rows_of(space: Space) -> list[SpaceRow]:
    return [SpaceRow(name, dimension_text(each), _options(each)) for name, each in space.items()]


def sent_value(text: str) -> Any:
    """A number, ``true``, ``null`` or quoted text is read as JSON, anything else as plain text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pinned_of(form: Mapping[str, str], prefix: str = "pin.") -> dict[str, Any]:
    """The dimensions that a form fixes: its non-empty fields ``pin.NAME``."""
    return {
        name.removeprefix(prefix): sent_value(value)
        for name, value in form.items()
        if name.startswith(prefix) and value
    }


def _options(dimension: Dimension) -> list[tuple[str, str]]:
    if isinstance(dimension, Float):
        return []
    values = dimension.values()
    if len(values) > MOST_OPTIONS:
        return []
    return [(json.dumps(value), value_text(value)) for value in values]
