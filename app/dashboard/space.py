"""A search space as a table shows it, and values as a form sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.dashboard.filters import value_text
from probes.space import Choice, Dimension, Float, Int, Space

MOST_OPTIONS = 200
"""Values that are offered one by one; of more, one is typed."""


class SpaceRow(NamedTuple):
    """A dimension."""

    name: str
    words: str
    """``1, 2, 4`` or ``2 to 12``."""
    options: list[tuple[str, str]]
    """What a form sends, and what it shows; empty where a value has to be typed."""


def rows_of(space: Space) -> list[SpaceRow]:
    return [SpaceRow(name, words_of(each), _options(each)) for name, each in space.items()]


def words_of(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return ", ".join(value_text(value) for value in dimension.options)
    scale = ", by magnitude" if dimension.log else ""
    if isinstance(dimension, Int) and dimension.step != 1:
        return f"{dimension.low} to {dimension.high} in steps of {dimension.step}{scale}"
    return f"{value_text(dimension.low)} to {value_text(dimension.high)}{scale}"


def sent_value(text: str) -> Any:
    """A number, ``true``, ``null`` or quoted text as JSON; anything else is text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pinned_of(form: Mapping[str, str], prefix: str = "pin.") -> dict[str, Any]:
    """Dimensions that a form fixes: its fields ``pin.NAME`` that are not empty."""
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
