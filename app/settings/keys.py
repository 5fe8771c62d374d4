"""Walking the settings model by key: what is known where. Used by errors, environment and docs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from app.settings.model import Settings

FREE = "*"
"""Stands for any name, where names are the user's own (budgets, workloads)."""


def children(annotation: Any) -> dict[str, Any]:
    """Names below a type, with their types; ``{FREE: type}`` for a free table, empty for a leaf."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: field.annotation for name, field in annotation.model_fields.items()}
    if get_origin(annotation) is dict:
        return {FREE: get_args(annotation)[1]}
    if get_origin(annotation) is list:
        return children(get_args(annotation)[0])
    return {}


def type_at(location: Sequence[str | int]) -> Any:
    """The type of a key; ``None`` for an unknown one. List indices are skipped."""
    annotation: Any = Settings
    for part in location:
        if not isinstance(part, int):
            below = children(annotation)
            annotation = below.get(part, below.get(FREE))
    return annotation


def known_below(location: Sequence[str | int]) -> list[str]:
    """The names that may stand at ``location``, free names left out."""
    return [name for name in children(type_at(location)) if name != FREE]


def is_known(location: Sequence[str]) -> bool:
    """Whether a key exists, free names included."""
    return type_at(location) is not None


def is_compound(location: Sequence[str]) -> bool:
    """Whether a key holds a list or a table."""
    annotation = type_at(location)
    return bool(children(annotation)) or get_origin(annotation) is list
