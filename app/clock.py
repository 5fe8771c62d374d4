"""The time, in the one form that is stored."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(timezone.utc)
