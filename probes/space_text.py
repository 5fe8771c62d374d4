"""Spaces and assignments as the command line and configuration files write them: ``layers=2..12``.
Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from probes.errors import InputError
from probes.space import LARGEST, Choice, Dimension, Float, Int

MOST_SHOWN = 20
"""Options of a choice that a text names."""


def parse_value(text: str) -> Any:
    """A command-line value: JSON where it parses (``4``, ``1e-3``, ``true``), else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # also thousands of digits, and of brackets
        return text
    return value if isinstance(value, (int, float, str, bool, type(None))) else text


def parse_dimension(written: Any) -> Any:
    """A dimension as configuration and command line write it, for ``as_dimension``.

    ``"2..12"``, ``"64..512..64"`` (with its step), ``"0.1..0.5"``, ``"64,128,256"``, a list, a
    single value, or a table such as ``{low = 16, high = 1024, log = true}`` or
    ``{options = [1, 2], cost_grows = false}``. Raises ``InputError``.
    """
    if isinstance(written, Mapping):
        kind: Any = Choice if "options" in written else Int
        if any(isinstance(written.get(key), float) for key in ("low", "high")):
            kind = Float
        try:
            return kind(**written)
        except TypeError:
            raise InputError(
                f"{dict(written)} is not a dimension. Write low and high (and step, log), or "
                "options; cost_grows goes with both."
            ) from None
    if not isinstance(written, str):
        return written
    if ".." in written:
        numbers = [parse_value(part.strip()) for part in written.split("..")]
        if any(isinstance(n, (str, bool, type(None))) for n in numbers) or len(numbers) > 3:
            raise InputError(
                f"{written!r} is not a range. Write 2..12, or 64..512..64 with a step."
            )
        if numbers[0] > numbers[1]:
            raise InputError(
                f"{written!r} begins with the larger number. Write {numbers[1]}..{numbers[0]}."
            )
        if any(isinstance(n, float) for n in numbers):
            if len(numbers) == 3:
                raise InputError(f"{written!r}: only whole numbers have a step; list the values.")
            low, high = map(float, numbers)
            return Float(low, high)
        return Int(*numbers)
    if "," in written:
        return _without_gaps([parse_value(part.strip()) for part in written.split(",")], written)
    return _without_gaps([parse_value(written.strip())], written)


def value_text(value: Any) -> str:
    """As a person would type it: text unchanged, everything else as JSON."""
    if isinstance(value, str):
        return value
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def dimension_text(dimension: Dimension) -> str:
    """For people: ``2 to 12``, ``64 to 512 in steps of 64``, or ``1, 2, 4``."""
    if isinstance(dimension, Choice):
        shown = [value_text(value) for value in dimension.options[:MOST_SHOWN]]
        left = len(dimension.options) - len(shown)
        return ", ".join([*shown, f"and {left} more"] if left else shown)
    if dimension.low == dimension.high:
        return value_text(dimension.low)
    scale = " (log scale)" if dimension.log else ""
    if isinstance(dimension, Int) and dimension.step != 1:
        scale = f" in steps of {dimension.step}"
    return f"{value_text(dimension.low)} to {value_text(dimension.high)}{scale}"


def parse_assignments(
    pairs: Sequence[str], option: str, *, as_text: bool = False
) -> dict[str, Any]:
    """``["layers=4", "width=64"]`` to ``{"layers": 4, "width": 64}``. Raises ``InputError``.

    ``as_text`` leaves the values as they are written. A name that is given twice is an error: the
    first value would be lost without a word.
    """
    result: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name.strip():
            raise InputError(f"{option} {pair}: write it as {option} name=value.")
        name = name.strip()
        if name in result:
            raise InputError(f"{option} {pair}: {name} is given twice. Give each name once.")
        result[name] = (
            text.strip() if as_text else _storable(parse_value(text.strip()), pair, option)
        )
    return result


def _without_gaps(values: list[Any], written: str) -> list[Any]:
    """The values of a list. An empty one can stand beside texts, as in ``,--bf16``: an argument
    that may be left out. Raises ``InputError`` where it is alone or beside numbers."""
    rest = [value for value in values if value != ""]
    if len(rest) < len(values) and not any(isinstance(value, str) for value in rest):
        raise InputError(f"{written!r}: a value of the list is empty. Give it, or remove it.")
    return values


def _storable(value: Any, pair: str, option: str) -> Any:
    """A value that JSON can carry and every reader understands. Raises ``InputError``."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{option} {pair}: write a finite number.")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f"{option} {pair}: write a whole number of at most {LARGEST}.")
    return value
