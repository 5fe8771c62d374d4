"""Settings from the environment: ``TONNAGE_HEADROOM``, ``TONNAGE_BUDGETS__PROTOTYPING__TRIALS``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from app.names import KEY_VARIABLE, SERVER_VARIABLE, nearest
from app.settings.fields import Option
from app.settings.keys import is_compound, is_known, known_below, type_at
from probes.errors import InputError

PREFIX = "TONNAGE_"
CONFIG_VARIABLE = "TONNAGE_CONFIG"
RECOMMENDATION_VARIABLE = "TONNAGE_RECOMMENDATION"
"""Written by ``tonnage export --to env``: unknown names beside it are then a training config."""

_NOT_SETTINGS = (CONFIG_VARIABLE, RECOMMENDATION_VARIABLE, SERVER_VARIABLE, KEY_VARIABLE)

log = logging.getLogger(__name__)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A new table: nested tables are merged key by key, and every other value of ``above`` wins."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def location_of(variable: str) -> list[str]:
    """``TONNAGE_BUDGETS__PROTOTYPING__TRIALS`` to ``["budgets", "prototyping", "trials"]``."""
    return variable[len(PREFIX) :].lower().split("__")


def variable_of(location: tuple[str | int, ...]) -> str:
    """The inverse of ``location_of``."""
    return PREFIX + "__".join(str(part) for part in location).upper()


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings among the ``TONNAGE_…`` variables, nested. Unknown variables are logged as
    warnings; empty ones count as not set.

    Raises ``InputError`` for a list or table that is not JSON.
    """
    found: dict[str, Any] = {}
    for name in sorted(environ, key=lambda name: name.count("__")):  # tables before their keys
        if not name.upper().startswith(PREFIX) or name.upper() in _NOT_SETTINGS:
            continue
        if not environ[name]:
            continue
        location = location_of(name)
        if is_known(location):
            value = _value(name, location, environ[name])
            for key in reversed(location):
                value = {key: value}
            found = merge(found, value)
        else:
            _warn(name, exported=RECOMMENDATION_VARIABLE in environ)
    return found


def _value(variable: str, location: list[str], text: str) -> Any:
    """Lists and tables are JSON. A value of any type is JSON where it can be read as such, so that
    ``3`` is a number; any other stays text, which the model converts."""
    must_be_json = is_compound(location)
    if not must_be_json and type_at(location) not in (Option, Any):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not must_be_json:
            return text
        raise InputError(
            f"{variable}: a list or table must be written as JSON in the environment, and this "
            f"is not valid JSON: {error}."
        ) from None


def _warn(variable: str, exported: bool) -> None:
    location = location_of(variable)
    if exported and len(location) == 1:
        log.debug("%s is taken as part of an exported recommendation.", variable)
        return
    for length in range(len(location)):
        near = nearest(location[length], known_below(location[:length]))
        if not is_known(location[: length + 1]):
            hint = variable_of((*location[:length], near)) if near else ""
            suggestion = f" Did you mean {hint}?" if hint else ""
            log.warning("%s is not a setting and is ignored.%s", variable, suggestion)
            return
    log.warning("%s is not a setting and is ignored.", variable)
