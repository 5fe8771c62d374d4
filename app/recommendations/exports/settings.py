"""The recommendation as a flat list of names and values, for formats without nesting."""

from __future__ import annotations

from typing import Any

from optimizer.records import Recommendation
from probes.errors import InputError


def named_values(recommendation: Recommendation, *, always_accumulation: bool) -> dict[str, Any]:
    """``batch_size``, ``accumulation`` and the config. Raises ``InputError`` if two values have the
    same name."""
    settings: dict[str, Any] = {"batch_size": recommendation.batch_size}
    if always_accumulation or recommendation.accumulation != 1:
        settings["accumulation"] = recommendation.accumulation
    for name, value in recommendation.config.items():
        if name == "accumulation" and value == recommendation.accumulation:
            settings[name] = value  # the lever and the field agree
        else:
            put(settings, name, value)
    return settings


def put(into: dict[str, Any], name: str, value: Any) -> None:
    """Add a value. Raises ``InputError`` if the name is taken."""
    if name in into:
        raise InputError(f"Two values of this recommendation would both be called {name}.")
    into[name] = value


def plain(value: Any) -> str:
    """Numbers and booleans as JSON writes them; text unchanged."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else str(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def without_value(settings: dict[str, Any]) -> list[str]:
    """A sentence that lists the settings without a value; empty if there are none."""
    names = [name for name, value in settings.items() if value is None]
    return [f"Left out because they have no value (None): {', '.join(names)}"] if names else []
