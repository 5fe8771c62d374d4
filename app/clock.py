"""The time, in the one form that is stored."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def utc_now() -> datetime:
    """Now, in UTC. It reads ``time.time``, so that a test that sets it sets every stored moment."""
    return datetime.fromtimestamp(time.time(), timezone.utc)
