"""Values as people write and read them: sizes, assignments, durations."""

from __future__ import annotations

import re
from datetime import timedelta

from probes.errors import InputError

UNITS = {
    "B": 1,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
SIZE = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]+)\s*$")


def parse_size(text: str) -> int:
    """``2GiB`` or ``512 MiB`` to bytes. Raises ``InputError`` for anything without a unit."""
    match = SIZE.match(text)
    unit = UNITS.get(match.group(2).upper()) if match else None
    if match is None or unit is None:
        raise InputError(f"{text!r} is not a size. Write a number with its unit, such as 2GiB.")
    size = int(float(match.group(1)) * unit)
    if size < 2**20:
        raise InputError(f"{text!r} is too small a size to train in; write at least 1MiB.")
    return size


AGE = re.compile(r"^\s*([0-9]{1,5})\s*(d|w|y)\s*$")
DAYS = {"d": 1, "w": 7, "y": 365}


def parse_age(text: str) -> timedelta:
    """``90d``, ``12w`` or ``1y``. Raises ``InputError`` for anything else, and for less than a
    day."""
    match = AGE.match(text)
    days = int(match.group(1)) * DAYS[match.group(2)] if match else 0
    if days < 1:
        raise InputError(f"{text!r} is not an age of a day or more. Write 90d, 12w or 1y.")
    return timedelta(days=days)


def size_text(size_bytes: float | None) -> str:
    """Bytes as MiB below 10 GiB, as GiB above; ``–`` when unknown."""
    if size_bytes is None:
        return "–"
    if size_bytes < 10 * 2**30:
        return f"{size_bytes / 2**20:,.0f} MiB"
    return f"{size_bytes / 2**30:,.1f} GiB"


def batch_text(batch_size: int, accumulation: int) -> str:
    """``96``, or with accumulation ``86 × 3 = 258 samples per step``."""
    if accumulation == 1:
        return str(batch_size)
    return f"{batch_size} × {accumulation} = {batch_size * accumulation} samples per step"
