"""Identifiers that sort by the time they were made: ``st_01kf3v6s2m8hzq7rt0xw``."""

from __future__ import annotations

import secrets
import threading
import time

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 without the letters that are taken for digits."""
_TIME_DIGITS = 11
_RANDOM_DIGITS = 9

LENGTH = _TIME_DIGITS + _RANDOM_DIGITS
_DIGIT = "[0-9a-hjkmnp-tv-z]"

_lock = threading.Lock()
_last_us = 0


def new_id(prefix: str) -> str:
    """``prefix_`` and 20 characters: microseconds since 1970, then 45 random bits.

    Two ids of one process always sort in the order they were made, even if the clock steps back.
    """
    global _last_us  # noqa: PLW0603
    with _lock:
        _last_us = max(time.time_ns() // 1000, _last_us + 1)
        moment_us = _last_us
    random = secrets.randbits(5 * _RANDOM_DIGITS)
    return f"{prefix}_{_encode(moment_us, _TIME_DIGITS)}{_encode(random, _RANDOM_DIGITS)}"


def form_of(prefix: str) -> str:
    """The regular expression of ids with this prefix."""
    return f"^{prefix}_{_DIGIT}{{{LENGTH}}}$"


def _encode(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 32)
        text = _DIGITS[digit] + text
    return text
