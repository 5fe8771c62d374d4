"""Which runners of other hosts have fallen silent, judged by our own clock alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.jobs.runner_repository import RunnerRecord
from app.tuning.owner import this_place


class HeartbeatMonitor:
    """Remembers since when each runner's count of beats has stood still.

    Clocks of two hosts may differ, and any of them may be set: what is compared is how long we
    have been watching, by a clock that only goes forward.
    """

    def __init__(self, dead_after_s: float, clock: Callable[[], float]) -> None:
        self._dead_after_s = dead_after_s
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def silent(self, runners: Iterable[RunnerRecord]) -> list[str]:
        """Ids of those elsewhere that have not stirred for so long. Call it again and again."""
        now_s, place = self._clock(), this_place()
        before, self._seen = self._seen, {}
        found = []
        for runner in runners:
            if runner.place == place:
                continue  # its process can be looked up
            beats, since_s = before.get(runner.id, (-1, now_s))
            if beats != runner.beats:
                since_s = now_s
            self._seen[runner.id] = (runner.beats, since_s)
            if now_s - since_s >= self._dead_after_s:
                found.append(runner.id)
        return found

    def forget(self) -> None:
        """Begin anew: while we could not look, they could not stir either, perhaps."""
        self._seen.clear()
