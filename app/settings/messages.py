"""Validation errors of the settings in words: the key, the value, where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.names import nearest
from app.settings.environment import variable_of
from app.settings.keys import known_below

WANTED = {
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "finite_number": "a finite number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of at most {max_length} characters",
    "list_type": "a list",
    "too_short": "{min_length} or more entries",
    "too_long": "at most {max_length} entries",
    "model_type": "a table",
    "dict_type": "a table",
}
"""What is expected, by the kind of a mistake and what belongs to it. Of the other kinds pydantic's
own words are fit to be read."""

Location = tuple[str | int, ...]


def explain(
    error: ValidationError,
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
) -> str:
    """One line per mistake."""
    lines: list[str] = []
    for detail in error.errors(include_url=False):
        line = _line(detail, _source(detail["loc"], path, environ, overrides))
        if line not in lines:
            lines.append(line)
    return "\n".join(lines)


def _source(
    location: Location,
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
) -> str:
    if location and location[0] in overrides:
        return "The command line"
    names = [part for part in location if isinstance(part, str)]
    for length in range(len(names), 0, -1):
        if environ.get(variable_of(tuple(names[:length]))):
            return variable_of(tuple(names[:length]))
    return path.name if path else "The settings"


def _line(detail: ErrorDetails, source: str) -> str:
    location = detail["loc"]
    key = _dotted(location)
    if detail["type"] == "extra_forbidden":
        known = known_below(location[:-1])
        near = nearest(str(location[-1]), known)
        suggestion = f"Did you mean {near}?" if near else f"Known: {', '.join(known)}."
        return f"{source}: unknown key {key}. {suggestion}"
    if detail["type"] == "missing":
        return f"{source}: {key} is missing."
    wanted = WANTED.get(detail["type"])
    expected = detail["msg"] if wanted is None else wanted.format(**detail.get("ctx", {}))
    for opening in ("Input should be ", "Value error, "):
        expected = expected.removeprefix(opening)
    shown = repr(detail["input"])
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    if detail["type"] == "value_error":
        return f"{source}: {key} = {shown}: {expected}."
    return f"{source}: {key} = {shown}: expected {expected}."


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")
