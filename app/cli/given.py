"""What was typed for an option, looked at before its command sees it, and lists in one option."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from probes.errors import InputError

COMMAND_LINE = "COMMANDLINE"


def checking_values(command: Any) -> Any:
    """``command`` and all below it, with options that refuse an empty value and NaN, and say what
    is wrong with a value in words of ours.

    An empty value is nearly always a shell variable that is not set. Taken for "not given", it
    would silently measure or store something else than what was asked for.
    """
    for each in _with_subcommands(command):
        for parameter in each.params:
            _check_values(parameter, may_be_empty=parameter.param_type_name != "option")
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


def _check_values(parameter: Any, *, may_be_empty: bool) -> None:
    convert = parameter.process_value

    def checked(context: Any, typed: Any) -> Any:
        is_typed = context.get_parameter_source(parameter.name).name == COMMAND_LINE
        if is_typed and not may_be_empty and _is_empty(typed):
            text = "The value is empty. Give one, or leave the option out."
            raise typer.BadParameter(text, ctx=context, param=parameter)
        try:
            value = convert(context, typed)
        except typer.BadParameter as error:
            error.message = _in_words(error)
            raise
        if isinstance(value, float) and math.isnan(value):
            raise typer.BadParameter(f"{typed!r} is not a number.", ctx=context, param=parameter)
        return value

    parameter.process_value = checked


def _in_words(error: typer.BadParameter) -> str:
    """The message; where pydantic found the mistake, not in its words."""
    found = getattr(error.__cause__, "errors", None)
    if found is None:
        return error.message

    from app.http.words import said
    from probes.formatting import sentences

    detail = found(include_url=False)[0]
    text = said(detail)
    return sentences(f"{text}, not {detail['input']}" if text.startswith("Expected") else text)


def _is_empty(typed: Any) -> bool:
    if isinstance(typed, str):
        return not typed.strip()
    return isinstance(typed, Sequence) and any(_is_empty(each) for each in typed)
