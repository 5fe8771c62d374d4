"""What was typed for an option, looked at before its command sees it, and lists in one option."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from probes.errors import InputError

COMMAND_LINE = "COMMANDLINE"


def refuse_empty(command: Any) -> Any:
    """``command`` and all below it, with options that refuse an empty value and NaN.

    An empty value is nearly always a shell variable that is not set. Taken for "not given", it
    would silently measure or store something else than what was asked for.
    """
    for each in _with_subcommands(command):
        for option in each.params:
            if option.param_type_name == "option":
                _refuse_empty(option)
    return command


def listed(text: str | None, option: str) -> list[str]:
    """The entries of ``text``, which are separated by commas; none where it is ``None``. Raises
    ``InputError`` for one that is empty."""
    if text is None:
        return []
    entries = [entry.strip() for entry in text.split(",")]
    if not all(entries):
        raise InputError(
            f"{option} {text!r}: an entry of the list is empty. Give it, or remove it."
        )
    return entries


def _with_subcommands(command: Any) -> Iterator[Any]:
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from _with_subcommands(each)


def _refuse_empty(option: Any) -> None:
    converted = option.process_value

    def checked(context: Any, typed: Any) -> Any:
        is_typed = context.get_parameter_source(option.name).name == COMMAND_LINE
        if is_typed and _is_empty(typed):
            said = "The value is empty. Give one, or leave the option out."
            raise typer.BadParameter(said, ctx=context, param=option)
        value = converted(context, typed)
        if isinstance(value, float) and math.isnan(value):
            raise typer.BadParameter(f"{typed!r} is not a number.", ctx=context, param=option)
        return value

    option.process_value = checked


def _is_empty(typed: Any) -> bool:
    if isinstance(typed, str):
        return not typed.strip()
    return isinstance(typed, Sequence) and any(_is_empty(each) for each in typed)
