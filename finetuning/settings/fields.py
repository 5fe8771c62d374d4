"""A field of the settings: its unit, its range, and what is said when it is out of it.

Standard library only; these modules are read by the command line, which imports no torch.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any

from probes.errors import InputError
from probes.space import unknown_name


def setting(
    default: Any = MISSING,
    about: str = "",
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: Sequence[Any] | None = None,
) -> Any:
    """A dataclass field with its documentation.

    ``low`` and ``high`` are legal values; ``above`` is not: the value must be greater.
    """
    metadata = {
        "about": about,
        "unit": unit,
        "low": low,
        "high": high,
        "above": above,
        "choices": None if choices is None else tuple(choices),
    }
    return field(default=default, metadata=metadata)


def check(settings: Any, prefix: str = "") -> None:
    """Raise ``InputError`` naming every field that is of the wrong kind or out of its range."""
    wrong = list(_wrong(settings, prefix))
    if wrong:
        raise InputError(" ".join(wrong))


def _wrong(settings: Any, prefix: str) -> typing.Iterator[str]:
    hints = typing.get_type_hints(type(settings))
    for one in fields(settings):
        value, name = getattr(settings, one.name), f"{prefix}{one.name}"
        if is_dataclass(value):
            continue  # it has checked itself
        said = _objection(value, hints[one.name], one.metadata)
        if said:
            yield f"{name}={value!r}: {said}."


def _objection(value: Any, hint: Any, rules: Mapping[str, Any]) -> str | None:
    kinds = _kinds(hint)
    if value is None and type(None) in kinds:
        return None
    choices = rules.get("choices")
    if choices is not None and isinstance(value, tuple):
        unknown = [one for one in value if one not in choices]
        return f"use only {_listed(choices)}" if unknown else None
    if choices is not None and (isinstance(value, str) or not kinds & {int, float}):
        legal = value in choices and any(type(value) is type(one) for one in choices)
        return None if legal else f"use {_listed(choices)}"
    if not _is_of(value, kinds):
        return f"give {_named(kinds)}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _out_of_range(value, rules)
    if isinstance(value, str) and not value.strip():
        return "give a text that is not empty"
    return None


def _out_of_range(value: float, rules: Mapping[str, Any]) -> str | None:
    low, high, above = (rules.get(name) for name in ("low", "high", "above"))
    unit = f" {rules['unit']}" if rules.get("unit") else ""
    if not math.isfinite(value):
        return "give a finite number"
    if above is not None and value <= above:
        return f"give a number greater than {above:g}{unit}"
    if low is not None and high is not None and not low <= value <= high:
        return f"give a number from {low:g} to {high:g}{unit}"
    if low is not None and value < low:
        return f"give a number of at least {low:g}{unit}"
    if high is not None and value > high:
        return f"give a number of at most {high:g}{unit}"
    return None


def _kinds(hint: Any) -> set[Any]:
    """The plain types that a hint allows; ``tuple[str, ...]`` counts as ``tuple``."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return {kind for one in typing.get_args(hint) for kind in _kinds(one)}
    if origin is typing.Literal:
        return {type(one) for one in typing.get_args(hint)}
    return {origin or hint}


def _is_of(value: Any, kinds: set[Any]) -> bool:
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int) and float in kinds:
        return True
    return type(value) in kinds


def _named(kinds: set[Any]) -> str:
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        tuple: "a list",
        dict: "a table of names and values",
    }
    known = [words[kind] for kind in words if kind in kinds]
    if float in kinds and int in kinds:
        known.remove(words[int])
    return " or ".join(known)


def _listed(choices: Sequence[Any]) -> str:
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in choices]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


# -- plain data -------------------------------------------------------------------------------


def to_plain(settings: Any) -> dict[str, Any]:
    """Nested dictionaries of plain values, every field named, as YAML and JSON hold them."""
    plain: dict[str, Any] = {}
    for one in fields(settings):
        value = getattr(settings, one.name)
        if is_dataclass(value):
            plain[one.name] = to_plain(value)
        else:
            plain[one.name] = list(value) if isinstance(value, tuple) else value
    return plain


def from_plain(cls: type[Any], plain: Mapping[str, Any], prefix: str = "") -> Any:
    """The settings out of ``to_plain``'s form; a field that is left out keeps its default.

    Raises ``InputError`` for an unknown key, naming the nearest known one, and for a bad value.
    """
    if not isinstance(plain, Mapping):
        raise InputError(
            f"{prefix.rstrip('.') or 'The settings'}: give a table of names and values."
        )
    known = {one.name: one for one in fields(cls)}
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, value in plain.items():
        if name not in known:
            names = [f"{prefix}{one}" for one in known]
            raise InputError(unknown_name("setting", f"{prefix}{name}", names))
        values[name] = _from_plain(hints[name], value, f"{prefix}{name}.")
    try:
        return cls(**values)
    except TypeError:
        missing = [one.name for one in known.values() if _required(one) and one.name not in values]
        raise InputError(f"Give {', '.join(prefix + name for name in missing)}.") from None


def _from_plain(hint: Any, value: Any, prefix: str) -> Any:
    nested = next((kind for kind in _kinds(hint) if is_dataclass(kind)), None)
    if nested is not None and value is not None:
        assert isinstance(nested, type)
        return from_plain(nested, value, prefix)
    if tuple in _kinds(hint) and isinstance(value, list):
        return tuple(value)
    if float in _kinds(hint) and isinstance(value, str):
        try:
            return float(value)  # YAML reads 2e-4 as a text
        except ValueError:
            return value
    return value


def _required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def changed(settings: Any, changes: Mapping[str, Any]) -> Any:
    """A copy with dotted names changed: ``{"lora.r": 32, "training.epochs": 1}``.

    A name without its group is found where only one group has it (``epochs``). Raises
    ``InputError`` for an unknown or ambiguous name and for a bad value.
    """
    plain = to_plain(settings)
    for name, value in changes.items():
        *path, last = _full_name(plain, name).split(".")
        table = plain
        for part in path:
            table = table[part]
        table[last] = value
    return from_plain(type(settings), plain)


def _full_name(plain: Mapping[str, Any], name: str) -> str:
    names = [
        f"{group}.{one}" if isinstance(table, dict) else group
        for group, table in plain.items()
        for one in (table if isinstance(table, dict) else [group])
    ]
    if name in names:
        return name
    ending = [one for one in names if one.rpartition(".")[2] == name]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise InputError(f"{name!r} is ambiguous: write {' or '.join(ending)}.")
    raise InputError(unknown_name("setting", name, names))
