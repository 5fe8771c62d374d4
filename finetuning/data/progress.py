"""Progress of work that may take a while. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Called with the phase, how much of it is done, and its total: bytes in the phases ``checking``
and ``reading``, rows in ``writing`` and ``counting tokens``."""

QUIET_S = 2.0
"""Work that is over by then reports nothing."""
INTERVAL_S = 0.5


class Progress:
    """Passes progress on, at most every ``INTERVAL_S``, and not before ``QUIET_S``."""

    def __init__(
        self, on_progress: OnProgress | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_progress, self._clock = on_progress, clock
        self._begun_s = clock()
        self._reported_s = -INTERVAL_S
        self._phase, self._done, self._total = "", 0, 0
        self._shown: int | None = None

    def phase(self, name: str, total: int) -> None:
        """A new phase begins; the last one is reported as done if any of it was reported."""
        self.finish()
        self._phase, self._done, self._total, self._shown = name, 0, total, None

    def advance(self, amount: int = 1) -> None:
        """More of the phase is done."""
        self._done += amount
        now_s = self._clock()
        if now_s - self._begun_s >= QUIET_S and now_s - self._reported_s >= INTERVAL_S:
            self._report(now_s)

    def finish(self) -> None:
        """The phase is over."""
        if self._shown is not None and self._shown < self._total:
            self._done = self._total
            self._report(self._clock())

    def _report(self, now_s: float) -> None:
        self._reported_s, self._shown = now_s, min(self._done, self._total)
        if self._on_progress:
            self._on_progress(self._phase, self._shown, self._total)
