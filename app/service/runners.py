"""A thread of the service that sees to it that queued studies find a runner on this host."""

from __future__ import annotations

import logging
import threading

from app.jobs.keeper import Keeper

LOOK_EVERY_S = 5.0

log = logging.getLogger(__name__)


class RunnerWatch:
    """Looks every few seconds, and at once when it is woken. The runner itself is a process of its
    own, which the service's end does not end."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="runner-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._keeper.ensure()
            except Exception as error:
                # The database may be away for a while: the service stays, and so does this.
                log.warning("Could not look whether a runner is needed: %s", error)
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()
