"""Overrides for the command line of a program that uses Hydra, quoted for a shell.

Each is ``key=value`` for a key of the program's config; Hydra reports a key that does not exist.
The grammar is that of Hydra 1.1 and later.
"""

from __future__ import annotations

import math
import re
import shlex
from typing import Any

from app.recommendations.exports.arguments import started_with_torchrun
from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.settings import named_values
from optimizer.records import Recommendation
from probes.errors import InputError

_KEY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*", re.ASCII)
_WORD = re.compile(r"[A-Za-z][\w/.:-]*", re.ASCII)
"""Text that needs no quotes, except the words in ``_OTHER_TYPES``, which Hydra converts."""
_OTHER_TYPES = ("true", "false", "null", "nan", "inf")


@export_format("hydra", "overrides for Hydra's command line")
def to_hydra(recommendation: Recommendation) -> Export:
    """Overrides for Hydra's command line: ``batch_size=64 layers=4``."""
    settings = named_values(recommendation, always_accumulation=False)
    overrides = [f"{_key(name)}={_value(value)}" for name, value in settings.items()]
    text = " ".join(shlex.quote(override) for override in overrides) + "\n"
    return Export(text, started_with_torchrun(recommendation), says_so=False)


def _key(name: str) -> str:
    if not _KEY.fullmatch(name):
        raise InputError(f"Hydra cannot override the key {name!r}. Export to yaml or json instead.")
    return name


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value) if math.isfinite(value) else str(value)
    text = str(value)
    if _WORD.fullmatch(text) and text.lower() not in _OTHER_TYPES:
        return text
    # Inside quotes, only quotes and the backslashes before them have a special meaning.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{escaped}'"
