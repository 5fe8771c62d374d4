"""What is wrong with a field of a request, in words of ours instead of pydantic's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from app.names import nearest
from app.settings.messages import WANTED

OBJECT = "a JSON object"
WANTED_OF_JSON = {
    **WANTED,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "dict_type": OBJECT,
    "literal_error": "{expected}",
    "enum": "{expected}",
}
FORMS = {
    r"^[^\x00-\x1f\x7f]+$": "text without control characters",
    r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$": "text without control characters",
    r"^[a-z]{1,8}(:[0-9]{1,2})?$": "a device such as cpu or cuda:0",
    "^[0-9A-Za-z]{1,64}$": "at most 64 letters and digits",
    "^[0-9A-Za-z_]{1,40}$": "at most 40 letters, digits and underscores",
}
"""Patterns that a person need not read."""


def said(detail: Mapping[str, Any], known: Sequence[str] = ()) -> str:
    """One sentence without its full stop. ``known``: the fields that may stand where an unknown one
    does."""
    kind, message = detail["type"], str(detail["msg"]).rstrip(".")
    if kind == "missing":
        return "This field is missing"
    if kind == "extra_forbidden":
        return _unknown(str(detail["loc"][-1]), known) if known else message
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    context = detail.get("ctx", {})
    if kind == "string_pattern_mismatch" and context.get("pattern") in FORMS:
        return f"Expected {FORMS[context['pattern']]}"
    if kind in WANTED_OF_JSON:
        return f"Expected {WANTED_OF_JSON[kind].format(**context)}"
    return message.replace("Input should be", "Expected", 1)


def fields_at(model: Any, location: Sequence[str | int]) -> list[str]:
    """The names of the fields that a model has at a place below it; none where that is unknown."""
    for part in location:
        field = getattr(_model_in(model), "model_fields", {}).get(part)
        model = field.annotation if field is not None else model if isinstance(part, int) else None
    found = _model_in(model)
    if found is None:
        return []
    return [field.alias or name for name, field in found.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation such as ``list[Model] | None`` is about."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _unknown(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    more = f"Did you mean {near}?" if near else f"There are {', '.join(known)}"
    return f"There is no such field. {more}"
