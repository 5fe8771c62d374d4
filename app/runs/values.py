"""What a training command gets from a recommendation: its placeholders, its environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from optimizer.records import Recommendation
from probes.black_box import config_file, template
from probes.black_box.command import RESERVED
from probes.errors import InputError
from probes.group import group_of, is_group
from probes.space import unknown_name

IN_PROBES = {name: RESERVED[name] for name in ("steps", "run_dir")}
"""Placeholders of a measured command that only a probe has a value for, and what it is there."""
PLACEHOLDER = re.compile(
    r"\{\{(?P<literal>\w[\w-]*)\}\}|(?<!\$)\{(?P<name>[A-Za-z_][\w-]*)(?::(?P<default>[^{}]*))?\}"
)
"""``{name}``, or ``{name:value}`` with a default for when nothing is recommended. ``{{name}}`` is
the text ``{name}``; other braces stay as they are, including a shell's ``${NAME}``."""


def values_of(recommendation: Recommendation) -> dict[str, Any]:
    """By placeholder: ``batch_size``, ``accumulation``, ``device``, ``ranks`` (1 for a single
    device), ``recommendation``, and every dimension of the config."""
    r = recommendation
    own = {"batch_size": r.batch_size, "accumulation": r.accumulation}
    ranks = group_of(r.device).size if is_group(r.device) else 1
    return {"device": r.device, "ranks": ranks, "recommendation": r.id, **r.config, **own}


def names_in(command: Sequence[str]) -> set[str]:
    """The names of its placeholders."""
    found = (match["name"] for word in command for match in PLACEHOLDER.finditer(word))
    return {name for name in found if name is not None}


def fill(
    command: Sequence[str],
    values: Mapping[str, Any] | None,
    paths: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """The command with its placeholders replaced; each stays within its argument. As in a probe, a
    word that is nothing but a placeholder is left out where its value is the empty text.

    ``None``: nothing is recommended, so that only defaults and ``paths``, which depend on no
    recommendation, can be taken. Raises ``InputError`` for a name that there is no value for.
    """

    def replaced(match: re.Match[str]) -> str:
        if match["literal"]:
            return f"{{{match['literal']}}}"
        name, default = match["name"], match["default"]
        if name in paths:
            return paths[name]
        if values is not None and name in values:
            return as_text(values[name])
        if default is not None:
            return str(default)
        if name == "config" and (values is None or name not in values):
            raise InputError(
                "{config} stands for a configuration file. Say which file is its template: "
                "--config train.yaml"
            )
        if name in IN_PROBES:
            raise InputError(_only_in_probes(name))
        if values is None:
            raise InputError(
                f"Nothing is recommended, so there is no value for {{{name}}}. Write {{{name}:64}} "
                "to say what to take then."
            )
        raise InputError(unknown_name("placeholder", name, values))

    filled = [(word, PLACEHOLDER.sub(replaced, word)) for word in command]
    return [text for word, text in filled if text or not template.PLACEHOLDER.fullmatch(word)]


def filled_copy(original: Path, values: Mapping[str, Any] | None, folder: Path) -> Path:
    """A copy of a configuration file in ``folder``, with its placeholders replaced as a probe of a
    command has them. Raises ``InputError`` for a name that there is no value for, and where the
    file cannot be read."""
    text = config_file.read(original)
    for name in template.placeholders(text):
        if name in (values or {}):
            continue
        where = f"{original}, line {config_file.line_of(text, name)}"
        if name in IN_PROBES:
            raise InputError(f"{where}: {_only_in_probes(name)}")
        if values is None:
            raise InputError(
                f"Nothing is recommended, so there is no value for {{{name}}} in {original}."
            )
        raise InputError(f"{where}: {unknown_name('placeholder', name, values)}")
    copy = folder / original.name
    copy.write_text(config_file.fill(text, original.suffix.lower(), values or {}))
    return copy


def _only_in_probes(name: str) -> str:
    what = "the folder that it is to use" if name == "run_dir" else "how many it is to take"
    return (
        f"{{{name}}} has a value in probes only ({IN_PROBES[name]}). For a training write {what} "
        "instead."
    )


def as_text(value: Any) -> str:
    """Numbers plain; ``true``, ``false`` and ``none`` in lower case."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def environment_of(
    recommendation: Recommendation, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables that ``tonnage export --to env`` writes, the allocator's settings included.

    Where they select devices, these are counted among those that ``environ`` shows already.
    """
    from app.recommendations.exports.export import export
    from app.recommendations.exports.ranks import ranks_of

    found = {}
    for line in export(recommendation, "env").text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found[name] = "".join(shlex.split(value))
    ranks = ranks_of(recommendation)
    if ranks is not None:
        for name in ranks.selection:
            shown = (environ or {}).get(name, "").split(",")
            if len(shown) > max(ranks.numbers):
                found[name] = ",".join(shown[number].strip() for number in ranks.numbers)
    return found
