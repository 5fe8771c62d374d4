"""How many requests one client may send: a token bucket each, in memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CLIENTS = 10_000
"""Buckets kept; the one used longest ago makes room, which at worst forgives it its past."""


class RateLimiter:
    """``take`` is allowed ``per_s`` times a second in the long run, ``burst`` times at once."""

    def __init__(
        self, per_s: float, burst: int, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Count one request of ``client``. Zero when it may go on, else seconds to wait."""
        if self._per_s <= 0:
            return 0.0
        now_s = self._clock_s()
        with self._lock:
            left, seen_s = self._buckets.pop(client, (self._burst, now_s))
            left = min(self._burst, left + max(now_s - seen_s, 0.0) * self._per_s)
            allowed = left >= 1.0
            self._buckets[client] = (left - 1.0 if allowed else left, now_s)
            if len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_s
