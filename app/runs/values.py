"""What a training command gets from a recommendation: its placeholders, its environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.records import Recommendation
from probes.errors import InputError
from probes.space import unknown_name

PLACEHOLDER = re.compile(
    r"\{\{(?P<literal>\w[\w-]*)\}\}|(?<!\$)\{(?P<name>[A-Za-z_][\w-]*)(?::(?P<default>[^{}]*))?\}"
)
"""``{name}``, or ``{name:value}`` with a default for when nothing is recommended. ``{{name}}`` is
the text ``{name}``; other braces stay as they are, including a shell's ``${NAME}``."""


def values_of(recommendation: Recommendation) -> dict[str, Any]:
    """By placeholder: ``batch_size``, ``accumulation``, ``device``, ``recommendation``, and every
    dimension of the config."""
    r = recommendation
    own = {"batch_size": r.batch_size, "accumulation": r.accumulation}
    return {"device": r.device, "recommendation": r.id, **r.config, **own}


def fill(command: Sequence[str], values: Mapping[str, Any] | None) -> list[str]:
    """The command with its placeholders replaced; each stays within its argument.

    ``None``: nothing is recommended, so that only defaults can be taken. Raises ``InputError`` for
    a name that there is no value for.
    """

    def replaced(match: re.Match[str]) -> str:
        if match["literal"]:
            return f"{{{match['literal']}}}"
        name, default = match["name"], match["default"]
        if values is not None and name in values:
            return as_text(values[name])
        if default is not None:
            return str(default)
        if values is None:
            raise InputError(
                f"Nothing is recommended, so there is no value for {{{name}}}. Write {{{name}:64}} "
                "to say what to take then."
            )
        raise InputError(unknown_name("placeholder", name, values))

    return [PLACEHOLDER.sub(replaced, word) for word in command]


def as_text(value: Any) -> str:
    """Numbers plain; ``true``, ``false`` and ``none`` in lower case."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def environment_of(recommendation: Recommendation) -> dict[str, str]:
    """The variables that ``tonnage export --to env`` writes, the allocator's settings included."""
    from app.recommendations.exports.export import export

    found = {}
    for line in export(recommendation, "env").text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found[name] = "".join(shlex.split(value))
    return found
