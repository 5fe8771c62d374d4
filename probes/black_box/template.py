"""A command with placeholders: ``python train.py --batch-size {batch_size} --layers {layers}``.

Without a shell the template is split into words first and filled in afterwards, so that a value is
always a single argument, whatever it contains. With a shell each value is quoted; a placeholder
inside quotes, where that would not protect it, is an error. Standard library only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from probes.errors import InputError

PLACEHOLDER = re.compile(r"\{\{(?P<literal>\w[\w-]*)\}\}|(?<!\$)\{(?P<name>[A-Za-z_][\w-]*)\}")
"""``{{name}}`` is the text ``{name}``. Other braces stay as they are, ``${NAME}`` too."""


def placeholders(template: str) -> list[str]:
    """The names in a template, each once, in the order in which they appear."""
    found = [match["name"] for match in PLACEHOLDER.finditer(template) if match["name"]]
    return list(dict.fromkeys(found))


def split(template: str) -> list[str]:
    """The words of a template as a shell would see them. Raises ``InputError``."""
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise InputError(f"The command cannot be split into words ({error}): {template}") from None
    if not words:
        raise InputError("The command is empty. Write it as you would start a training run.")
    return words


def fill(text: str, values: Mapping[str, Any]) -> str:
    """The text with its placeholders replaced. Every name must be in ``values``."""

    def replaced(match: re.Match[str]) -> str:
        return f"{{{match['literal']}}}" if match["literal"] else as_text(values[match["name"]])

    return PLACEHOLDER.sub(replaced, text)


def arguments(template: str, values: Mapping[str, Any]) -> list[str]:
    """The command as a list of arguments.

    A word that is nothing but a placeholder is left out where its value is the empty text, so that
    ``flag = ["", "--bf16"]`` switches an option on and off.
    """
    filled = []
    for word in split(template):
        text = fill(word, values)
        if text or not PLACEHOLDER.fullmatch(word):
            filled.append(text)
    return filled


def shell_arguments(template: str, values: Mapping[str, Any]) -> list[str]:
    """The command as a shell is to run it, every value quoted. Raises ``InputError``."""
    check_shell_quoting(template)
    quoted = {
        name: shlex.quote(text) if (text := as_text(value)) else ""
        for name, value in values.items()
    }
    return ["/bin/sh", "-c", fill(template, quoted)]


def check_shell_quoting(template: str) -> None:
    """Raise ``InputError`` for a placeholder inside quotes: its value could end them."""
    inside, position = "", 0
    found = {match.start(): match["name"] for match in PLACEHOLDER.finditer(template)}
    while position < len(template):
        character = template[position]
        if inside and found.get(position):
            raise InputError(
                f"{{{found[position]}}} stands inside {inside} … {inside}: leave these quotes out "
                "around it. With a shell, each value is quoted for you."
            )
        if character == "\\" and inside != "'":
            position += 1
        elif inside == character:
            inside = ""
        elif not inside and character in "'\"`":
            inside = character
        position += 1


def as_text(value: Any) -> str:
    """A value as it stands in a command: numbers plain, ``true``, ``false`` and ``none`` in lower
    case."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
