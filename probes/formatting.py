"""Sizes and durations as people read and write them, and numbers that JSON can carry.

The one place for them: ``app`` and ``optimizer`` use these functions too. Quick to import.
"""

from __future__ import annotations

import math
import re
from typing import Any

from probes.errors import InputError

NOTHING = "–"
"""Stands where there is no number."""

KIB, MIB, GIB = 2**10, 2**20, 2**30
UNITS = {
    "B": 1,
    "KIB": KIB,
    "MIB": MIB,
    "GIB": GIB,
    "TIB": 2**40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
SIZE = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]+)\s*$")


def parse_size(text: str) -> int:
    """``2GiB`` or ``512 MiB`` in bytes.

    Raises ``InputError`` for a number without a unit and for less than 1 MiB.
    """
    match = SIZE.match(text)
    unit = UNITS.get(match.group(2).upper()) if match else None
    if match is None or unit is None:
        raise InputError(f"{text!r} is not a size. Write a number with its unit, such as 2GiB.")
    size = int(float(match.group(1)) * unit)
    if size < MIB:
        raise InputError(f"{text!r} is too small a size to train in; write at least 1MiB.")
    return size


def size_argument(size_bytes: int) -> str:
    """Bytes as ``parse_size`` reads them, exactly: ``640MiB``."""
    return f"{size_bytes // MIB}MiB" if size_bytes % MIB == 0 else f"{size_bytes}B"


def size_text(size_bytes: float | None) -> str:
    """Bytes as ``1.50 GiB``, ``640 MiB``, ``12.3 MiB`` or ``12 KiB``; ``–`` if unknown."""
    if size_bytes is None:
        return NOTHING
    if abs(size_bytes) >= GIB:
        return f"{size_bytes / GIB:,.2f} GiB"
    if abs(size_bytes) >= 100 * MIB:
        return f"{size_bytes / MIB:,.0f} MiB"
    if abs(size_bytes) >= MIB:
        return f"{size_bytes / MIB:.1f}".removesuffix(".0") + " MiB"
    return f"{size_bytes / KIB:.0f} KiB"


def duration_text(seconds: float | None) -> str:
    """``820 µs``, ``12.4 ms``, ``3.21 s``, ``4 min 5 s``, ``2 h 10 min``, ``3 d 4 h``; ``–`` if
    unknown. What is zero at the end is left out: ``20 min``, ``50 s``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{_short(seconds * 1000)} ms"
    if seconds < 60:
        return f"{_short(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return _parts(whole // 60, "min", whole % 60, "s")
    if whole < 86_400:
        return _parts(whole // 3600, "h", whole % 3600 // 60, "min")
    return _parts(whole // 86_400, "d", whole % 86_400 // 3600, "h")


def energy_text(joules: float | None) -> str:
    """``0.84 J``, ``12.3 kJ``, ``1.2 MJ``; ``–`` if unknown."""
    if joules is None or not math.isfinite(joules):
        return NOTHING
    for unit, size in (("MJ", 1e6), ("kJ", 1e3)):
        if abs(joules) >= size:
            return f"{_short(joules / size)} {unit}"
    return f"{_short(joules)} J"


def three_digits(value: float) -> str:
    """Three significant digits, never an exponent: ``1.23``, ``12.3``, ``1,234``."""
    if value == 0:
        return "0"
    places = min(9, max(0, 2 - math.floor(math.log10(abs(value)))))
    return f"{value:,.{places}f}"


def plural(count: int, noun: str) -> str:
    """``1 probe``, ``1,234 probes``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sentences(*parts: str) -> str:
    """The parts that are not empty in one line, each with a full stop."""
    said = [part.strip() for part in parts if part.strip()]
    return " ".join(part if part[-1] in ".!?:…" else f"{part}." for part in said)


def first_line(said: BaseException | str, longest: int = 300) -> str:
    """The first line that says something, cut to a readable length. Of an error without a text it
    is the name of its type, of an empty text nothing."""
    for line in str(said).splitlines():
        if text := line.strip():
            return text if len(text) <= longest else f"{text[: longest - 1]}…"
    return type(said).__name__ if isinstance(said, BaseException) else ""


def is_non_finite(value: Any) -> bool:
    """Whether a value is NaN or an infinity, which JSON does not have."""
    return isinstance(value, float) and not math.isfinite(value)


def finite(value: Any) -> Any:
    """A copy with ``None`` for every NaN and infinity, which JSON does not have. Tuples become
    lists."""
    if is_non_finite(value):
        return None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _short(value: float) -> str:
    text = three_digits(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _parts(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small} {small_unit}" if small else "")
