"""Settings from the environment: ``TONNAGE_HEADROOM``, ``TONNAGE_BUDGETS__PROTOTYPING__TRIALS``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic_settings import EnvSettingsSource

from app.names import nearest
from app.settings.environment_names import (
    CONFIG_VARIABLE,
    KEY_VARIABLE,
    PREFIX,
    RECOMMENDATION_VARIABLE,
    SERVER_VARIABLE,
)
from app.settings.keys import is_compound, is_known, known_below
from app.settings.model import Settings
from probes.errors import InputError

_NOT_SETTINGS = (CONFIG_VARIABLE, RECOMMENDATION_VARIABLE, SERVER_VARIABLE, KEY_VARIABLE)

__all__ = [
    "CONFIG_VARIABLE",
    "PREFIX",
    "RECOMMENDATION_VARIABLE",
    "location_of",
    "read_environment",
    "variable_of",
]

log = logging.getLogger(__name__)


class _Variables(EnvSettingsSource):
    """Pydantic's parser of nested variables, on a given mapping instead of the process's."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}


def location_of(variable: str) -> list[str]:
    """``TONNAGE_BUDGETS__PROTOTYPING__TRIALS`` to ``["budgets", "prototyping", "trials"]``."""
    return variable[len(PREFIX) :].lower().split("__")


def variable_of(location: tuple[str | int, ...]) -> str:
    """The inverse of ``location_of``."""
    return PREFIX + "__".join(str(part) for part in location).upper()


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings among the ``TONNAGE_…`` variables, nested. Unknown ones are warned of.

    An empty variable counts as not set. Raises ``InputError`` for a list or table that is not JSON.
    """
    known = {}
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX) or name.upper() in _NOT_SETTINGS or not value:
            continue
        if is_known(location_of(name)):
            _check_json(name, value)
            known[name] = value
        else:
            _warn(name, exported=RECOMMENDATION_VARIABLE in environ)
    return _Variables(known)()


def _check_json(variable: str, value: str) -> None:
    if not is_compound(location_of(variable)):
        return
    try:
        json.loads(value)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{variable}: lists and tables are written as JSON in the environment, and this is "
            f"not: {error}."
        ) from None


def _warn(variable: str, exported: bool) -> None:
    location = location_of(variable)
    if exported and len(location) == 1:
        log.debug("%s is taken for a part of an exported recommendation.", variable)
        return
    for length in range(len(location)):
        near = nearest(location[length], known_below(location[:length]))
        if not is_known(location[: length + 1]):
            hint = variable_of((*location[:length], near)) if near else ""
            suggestion = f" Did you mean {hint}?" if hint else ""
            log.warning("%s is not a setting and is ignored.%s", variable, suggestion)
            return
    log.warning("%s is not a setting and is ignored.", variable)
