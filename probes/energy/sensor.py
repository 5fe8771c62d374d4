"""A counter beside a probe: its readings, and the power that it told before the first one."""

from __future__ import annotations

from collections.abc import Callable

from probes.devices.reading import Maybe, Missing
from probes.energy.counter import EnergyCounter, SensorError
from probes.energy.record import CounterRecord, Joules, MeasuredWindow


class Sensor:
    """A counter while probes run, and what it told while nothing of ours did."""

    def __init__(self, counter: Maybe[EnergyCounter]) -> None:
        self.counter = counter
        self.lost = ""
        self.record = CounterRecord(0.0)
        self.idle_w: Maybe[float] | None = None
        """Mean power before the first probe, or why it is not known; ``None`` until it is looked
        at."""

    def begin(self) -> None:
        self.lost = ""
        self.record = CounterRecord(0.0 if isinstance(self.counter, Missing) else self.period_s)

    @property
    def is_there(self) -> bool:
        return not isinstance(self.counter, Missing) and not self.lost

    @property
    def period_s(self) -> float:
        return 0.0 if isinstance(self.counter, Missing) else self.counter.period_s

    def look(self, clock: Callable[[], float]) -> None:
        if isinstance(self.counter, Missing) or self.lost:
            return
        try:
            total_j = self.counter.read_j()
        except SensorError as error:
            self.lost = str(error)
            return
        self.record.add(clock(), total_j)

    def energy(self, window: MeasuredWindow) -> Maybe[Joules]:
        if isinstance(self.counter, Missing):
            return self.counter
        if self.lost:
            return Missing(self.lost)
        found = self.record.energy(window)
        if found is None:
            return Missing("the sensor was not read before and after the measured steps")
        return found

    def know_idle(self, disturbed: bool) -> None:
        """Take the power between the first and the last reading for that of the idle device. It is
        steady: a reading that is late is late at both ends."""
        times, total_j = self.record.at_s, self.record.total_j
        if isinstance(self.counter, Missing):
            self.idle_w = self.counter
        elif disturbed:
            self.idle_w = Missing("another program kept it busy before the first probe")
        elif self.lost or len(times) < 2 or times[-1] <= times[0]:
            self.idle_w = Missing(self.lost or "the sensor was not read")
        else:
            self.idle_w = (total_j[-1] - total_j[0]) / (times[-1] - times[0])
