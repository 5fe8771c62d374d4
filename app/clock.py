"""The time, in the one form that is stored."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def utc_now() -> datetime:
    """Now, aware, in UTC: by ``time.time``, so that whoever sets that sets every stored moment."""
    return datetime.fromtimestamp(time.time(), timezone.utc)
