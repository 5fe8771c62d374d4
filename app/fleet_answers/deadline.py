"""A deadline as people write it: ``6h``, ``1d12h``, ``18:00`` or an ISO time."""

from __future__ import annotations

import re
from datetime import datetime

from probes.errors import InputError

DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?\s*(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)(?:m|min))?\s*"
    r"(?:(\d+(?:\.\d+)?)s)?",
    re.ASCII,
)
UNITS_S = (86_400.0, 3600.0, 60.0, 1.0)
CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
WAYS = "Write a duration such as 90m or 6h, a time of today such as 18:00, or 2026-11-30T18:00."


def seconds_until(text: str, now: datetime) -> float:
    """Seconds from ``now``, which knows its time zone; a time without one is in that of ``now``.

    Raises ``InputError`` for other text, and for a time that has passed.
    """
    text = text.strip()
    parts = DURATION.fullmatch(text)
    if text and parts is not None:
        given = zip(parts.groups(), UNITS_S, strict=True)
        seconds = sum(float(part) * unit for part, unit in given if part)
        if seconds <= 0:
            raise InputError(f"The deadline {text!r} leaves no time. {WAYS}")
        return seconds
    at = _moment(text, now)
    if at is None:
        raise InputError(f"{text!r} is not a deadline. {WAYS}")
    if at <= now:
        when = f"It is {now:%H:%M} now"
        later = " For tomorrow, write the date too." if CLOCK.fullmatch(text) else ""
        raise InputError(f"The deadline {text} has passed. {when}.{later}")
    return (at - now).total_seconds()


def _moment(text: str, now: datetime) -> datetime | None:
    clock = CLOCK.fullmatch(text)
    if clock is not None:
        hour, minute = int(clock.group(1)), int(clock.group(2))
        return now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=now.tzinfo)
