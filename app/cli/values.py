"""Ages and batch sizes as people write and read them on the command line."""

from __future__ import annotations

import re
from datetime import timedelta

from probes.errors import InputError

AGE = re.compile(r"^\s*([0-9]{1,5})\s*(d|w|y)\s*$")
DAYS = {"d": 1, "w": 7, "y": 365}


def parse_age(text: str) -> timedelta:
    """``90d``, ``12w`` or ``1y`` as a duration.

    Raises ``InputError`` for any other text, and for less than a day.
    """
    match = AGE.match(text)
    days = int(match.group(1)) * DAYS[match.group(2)] if match else 0
    if days < 1:
        raise InputError(f"{text!r} is not an age of at least one day. Write 90d, 12w or 1y.")
    return timedelta(days=days)


def batch_text(batch_size: int, accumulation: int) -> str:
    """``96``, or with accumulation ``86 × 3 = 258 samples per step``."""
    if accumulation == 1:
        return str(batch_size)
    return f"{batch_size} × {accumulation} = {batch_size * accumulation} samples per step"
