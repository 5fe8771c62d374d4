"""The pipe on which a worker writes to its parent: one JSON object per line."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

PROGRESS_INTERVAL_S = 0.2


class Channel:
    """Writes messages to the parent. Progress is thinned, so that fast steps cost nothing."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lock = threading.Lock()
        self._last_progress_s = 0.0
        self._last_phase = ""

    def send(self, message: dict[str, Any]) -> None:
        data = (json.dumps(message, default=str) + "\n").encode()
        with self._lock:
            while data:
                data = data[os.write(self.fd, data) :]

    def begin_line(self) -> None:
        """After a writer that may have died in the middle of its line."""
        os.write(self.fd, b"\n")

    def progress(
        self, phase: str, step: int = 0, of: int = 0, *, always: bool = False, **details: Any
    ) -> None:
        """Say where the worker is. Every change of phase is sent; steps at most five a second."""
        now_s = time.monotonic()
        recent = now_s - self._last_progress_s < PROGRESS_INTERVAL_S
        if recent and phase == self._last_phase and not always:
            return
        self._last_progress_s, self._last_phase = now_s, phase
        self.send({"event": "progress", "phase": phase, "step": step, "of": of, **details})
