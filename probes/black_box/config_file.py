"""A configuration file as a template: its placeholders are filled in for each probe.

``batch_size: {batch_size}`` in YAML, ``"layers": {layers}`` in JSON, ``lr = {lr}`` in TOML or
Python. A number stays a number, and a text where the file expects a value is written as a string of
its format. Standard library only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probes.black_box.template import PLACEHOLDER, as_text, placeholders
from probes.errors import InputError

_YAML = (".yaml", ".yml")
_PLAIN_IN_YAML = re.compile(r"(?:[A-Za-z_/]|\.\.?/)[\w./-]*")
_NO_TEXT_IN_YAML = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
_BEFORE_VALUE = re.compile(r"(?:^|[=,\[({]|(?:^|\s)-\s|:\s|[\"']:)\s*$")
_AFTER_VALUE = re.compile(r"\s*(?:$|[,\])}#;])", re.MULTILINE)


def read(path: Path) -> str:
    """The template. Raises ``InputError`` where it cannot be read."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise InputError(f"The configuration file {path} is not text in UTF-8.") from None
    except OSError as error:
        raise InputError(
            f"The configuration file {path} cannot be read: {error.strerror or error}."
        ) from None


def names_in(path: Path) -> list[str]:
    """The placeholders of a template; none where it cannot be read."""
    try:
        return placeholders(read(path))
    except InputError:
        return []


def line_of(text: str, name: str) -> int:
    """The first line, from 1, that holds a placeholder; 0 without one."""
    for match in PLACEHOLDER.finditer(text):
        if match["name"] == name:
            return text.count("\n", 0, match.start()) + 1
    return 0


def fill(text: str, suffix: str, values: Mapping[str, Any]) -> str:
    """The file for one probe. ``suffix`` is its extension, which says how values are written."""

    def replaced(match: re.Match[str]) -> str:
        if match["literal"]:
            return f"{{{match['literal']}}}"
        value = values[match["name"]]
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if _BEFORE_VALUE.search(line) and _AFTER_VALUE.match(text, match.end()):
            return _value(value, suffix)
        part = _plain(value)
        return json.dumps(part, ensure_ascii=False)[1:-1] if suffix == ".json" else part

    return PLACEHOLDER.sub(replaced, text)


def _value(value: Any, suffix: str) -> str:
    """A value as the format writes it."""
    if suffix == ".py":
        return repr(value)
    if value is None and suffix in (".json", *_YAML):
        return "null"
    if suffix == ".toml" and value is None:
        return '"none"'
    if not isinstance(value, str):
        return _plain(value)
    if suffix in (".json", ".toml"):
        return json.dumps(value, ensure_ascii=False)
    if suffix in _YAML:
        is_plain = _PLAIN_IN_YAML.fullmatch(value) and value.lower() not in _NO_TEXT_IN_YAML
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    return value


def _plain(value: Any) -> str:
    """As in a command, but ``1.0e-05`` instead of ``1e-05``, which YAML 1.1 reads as text."""
    text = as_text(value)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e", 1)
    return text
