"""Devices on a simulated clock: a study of hours on several of them takes a second.

Each device is a thread, but only one thread runs at any moment: the one whose time is the earliest.
``sleep`` hands over to it. So a run is the same every time, however busy the machine is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

Result = TypeVar("Result")


@dataclass
class _Device:
    at_s: float = 0.0
    turn: threading.Event = field(default_factory=threading.Event)


class SimulatedClock:
    """Time for the devices of one simulation. ``run`` starts them; they call ``sleep``."""

    def __init__(self) -> None:
        self._devices: dict[int, _Device] = {}
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        """The calling device is busy for that long; others go on meanwhile."""
        own = self._devices[threading.get_ident()]
        own.at_s += seconds
        self._hand_over()
        own.turn.wait()
        own.turn.clear()

    def run(self, works: list[Callable[[], Result]]) -> list[Result]:
        """What each device's work returns; ``now_s`` is then when the last of them ended. Raises
        what the first of them raised."""
        results: list[Result | None] = [None] * len(works)
        errors: list[BaseException] = []
        ready = threading.Barrier(len(works) + 1)

        def live(number: int) -> None:
            own = self._devices[threading.get_ident()] = _Device()
            ready.wait()
            own.turn.wait()
            own.turn.clear()
            try:
                results[number] = works[number]()
            except BaseException as error:  # told below
                errors.append(error)
            self.now_s = max(self.now_s, own.at_s)
            del self._devices[threading.get_ident()]
            self._hand_over()

        threads = [threading.Thread(target=live, args=(n,)) for n in range(len(works))]
        for thread in threads:
            thread.start()
        ready.wait()
        self._hand_over()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return [result for result in results if result is not None]

    def _hand_over(self) -> None:
        """To the earliest device; of several, to the one that was started first."""
        if self._devices:
            min(self._devices.values(), key=lambda device: device.at_s).turn.set()
