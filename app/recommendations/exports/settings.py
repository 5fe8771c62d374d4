"""The recommendation as named values, for formats that have no structure."""

from __future__ import annotations

from typing import Any

from optimizer.records import Recommendation
from probes.errors import InputError


def named_values(recommendation: Recommendation, *, always_accumulation: bool) -> dict[str, Any]:
    """``batch_size``, ``accumulation`` and the config. Raises ``InputError`` for a name twice."""
    settings: dict[str, Any] = {"batch_size": recommendation.batch_size}
    if always_accumulation or recommendation.accumulation != 1:
        settings["accumulation"] = recommendation.accumulation
    for name, value in recommendation.config.items():
        if name == "accumulation" and value == recommendation.accumulation:
            settings[name] = value  # the lever, said by both
        else:
            put(settings, name, value)
    return settings


def put(into: dict[str, Any], name: str, value: Any) -> None:
    """Add a value. Raises ``InputError`` where the name is taken."""
    if name in into:
        raise InputError(f"Two values of this recommendation would both be called {name}.")
    into[name] = value


def plain(value: Any) -> str:
    """As JSON where it is a number or boolean, as it is where it is text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else str(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def without_value(settings: dict[str, Any]) -> list[str]:
    """A sentence about what is ``None``; empty where nothing is."""
    names = [name for name, value in settings.items() if value is None]
    return [f"None, so left out: {', '.join(names)}"] if names else []
