"""Errors about fields that may be one of several things: a number or a list, say.

The framework reports one error for each of these alternatives, and puts the alternative's own name
into the place. A client needs the place in what it has sent, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

EXPECTED = "Expected "


def place_in(body: Any, detail: Mapping[str, Any]) -> list[str | int]:
    """Where in a body an error is: its location, without the names of alternatives."""
    where, *below = detail["loc"]
    found, value = [where], body
    for part in below:
        if _holds(value, part):
            found.append(part)
            value = value[part]
        elif detail["type"] == "missing" and part == below[-1]:
            found.append(part)
    return found


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, Mapping) and part in value


def in_one(messages: Sequence[str]) -> str:
    """The messages about one field as one: ``Expected a whole number or a list``."""
    different = list(dict.fromkeys(messages))
    wanted = [each.removeprefix(EXPECTED) for each in different]
    if len(wanted) == 1 or not all(each.startswith(EXPECTED) for each in different):
        return different[0]
    return f"{EXPECTED}{', '.join(wanted[:-1])} or {wanted[-1]}"
