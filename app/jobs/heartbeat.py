"""Which runners of other hosts have fallen silent, judged by the clock of this process alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.jobs.runner_repository import RunnerRecord
from app.tuning.owner import this_place


class HeartbeatMonitor:
    """Remembers since when each runner's count of beats has not changed.

    The clocks of two hosts may differ, and each may be set. What counts is how long this process
    has been watching, by a clock that only goes forward.
    """

    def __init__(self, dead_after_s: float, clock: Callable[[], float]) -> None:
        self._dead_after_s = dead_after_s
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def silent(self, runners: Iterable[RunnerRecord]) -> list[str]:
        """Ids of runners on other hosts whose count has not changed for ``dead_after_s``. Call it
        at regular intervals."""
        now_s, place = self._clock(), this_place()
        before, self._seen = self._seen, {}
        found = []
        for runner in runners:
            if runner.is_watched_at(place):
                continue  # its process can be looked up
            beats, since_s = before.get(runner.id, (-1, now_s))
            if beats != runner.beats:
                since_s = now_s
            self._seen[runner.id] = (runner.beats, since_s)
            if now_s - since_s >= self._dead_after_s:
                found.append(runner.id)
        return found

    def forget(self) -> None:
        """Start over: while this process could not reach the database, the runners may not have
        either."""
        self._seen.clear()
