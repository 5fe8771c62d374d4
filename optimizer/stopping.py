"""When the search of a study ends, and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from optimizer.forecast import Forecast
from optimizer.formatting import config_text, rate
from probes.formatting import plural

LEAST_CHANCE = 0.02
"""A config with a smaller chance of being chosen is not measured, or not to its end."""


class Stopping:
    """Decides whether a study goes on, and keeps the reason in words when it does not.

    The search asks at each step; it ends when the time limit is over, when the trials are used up
    or when no config that is left is likely to be chosen. Another process on the same study may
    change the last two, so each step begins without a reason.

    Example::

        stopping = Stopping(trials=20, timeout_s=1800)
        while not stopping.out_of_time():
            if stopping.out_of_trials(used=len(settled), configs=96):
                break
            ...
        print(stopping.reason)

    ``trials`` is the number of configs to settle at most, ``timeout_s`` the seconds from now after
    which no config is begun (``None`` for no limit).
    """

    def __init__(
        self,
        trials: int,
        timeout_s: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reason = ""
        """Why the search ended before every config was looked at; empty while it goes on."""
        self.timed_out = False
        self._trials = trials
        self._timeout_s = timeout_s
        self._clock = clock
        self._began_s = clock()

    def out_of_time(self) -> bool:
        """Whether the time limit is over. Called at the beginning of each step."""
        self.reason = ""
        if self._timeout_s is not None and self._clock() - self._began_s >= self._timeout_s:
            self.timed_out = True
            self.reason = f"The search ended at its time limit of {self._timeout_s:.0f} s."
        return self.timed_out

    def out_of_trials(self, used: int, configs: int | None) -> bool:
        """Whether ``used`` trials are all that are allowed, or all ``configs`` of the space
        (``None`` for infinitely many)."""
        if configs is not None and used >= configs:
            return True
        if used < self._trials:
            return False
        left = "more" if configs is None else f"{configs - used} more"
        were = " was" if configs == used + 1 else "s were"
        self.reason = (
            f"The search ended after {plural(used, 'trial')}, as many as were allowed; {left} "
            f"config{were} not measured (a larger number of trials allows more)."
        )
        return True

    def out_of_chances(self, forecasts: Sequence[Forecast]) -> bool:
        """Whether none of the configs that are left has at least ``LEAST_CHANCE``. Without
        forecasts too little is known to tell."""
        if not forecasts:
            return False
        likeliest = max(forecasts, key=lambda forecast: forecast.chance)
        if likeliest.chance >= LEAST_CHANCE:
            return False
        self.reason = (
            f"{len(forecasts)} more configs were not measured: none has more than a "
            f"{LEAST_CHANCE:.0%} chance of being chosen. The likeliest, "
            f"{config_text(likeliest.config)}, should reach about "
            f"{rate(likeliest.throughput_samples_per_s.median)}."
        )
        return True
