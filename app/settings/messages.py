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
    expected = detail["msg"]
    if detail["type"] in ("model_type", "dict_type"):
        expected = "a table"
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
