"""Energy of a probe's measured steps: the sensors are read while it runs, in the parent.

A thread reads them twenty times a second, and once more whenever the worker says that measured
steps begin or end. Where there is no sensor nothing is started, and the reason is kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from probes.devices.reading import Maybe, Missing
from probes.energy.record import Joules, MeasuredWindow
from probes.energy.sensor import Sensor
from probes.measurement import Energy, Measurement

INTERVAL_S = 0.05
LEAST_BETWEEN_S = 0.01
"""Chunks of very short steps end more often than a sensor has news."""
IDLE_S = 1.0
"""How long an idle device is watched for its power, once."""
WIDEST = 0.5
"""An energy that is known within this share of itself is shown; a vaguer one is not."""
LATE_S = 5.0
"""A moment that a worker stamped is believed if it was not longer ago than this."""


class EnergyMeter:
    """The sensors of one device or of all devices of a gang, and of their host."""

    def __init__(
        self,
        devices: Sequence[Sensor],
        host: Sensor,
        *,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float | None = INTERVAL_S,
    ) -> None:
        """With ``interval_s=None`` no thread reads them, only ``look`` and ``heard``."""
        self._devices = list(devices)
        self._host = host
        self._clock = clock
        self._interval_s = interval_s
        self._window: MeasuredWindow | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def has_sensor(self) -> bool:
        return any(each.is_there for each in self._sensors)

    @property
    def _sensors(self) -> list[Sensor]:
        return [*self._devices, self._host]

    # -- around a probe --------------------------------------------------------------------

    def know_idle(self, is_disturbed: Callable[[float], bool]) -> None:
        """Measure the idle power, the first time. Call it while nothing of ours uses the device.
        ``is_disturbed`` waits for the seconds it is given, and says whether another program kept
        the device busy meanwhile."""
        unknown = [each for each in self._sensors if each.idle_w is None]
        disturbed = False
        if any(each.is_there for each in unknown):
            self.begin(watch=False)
            disturbed = is_disturbed(IDLE_S)
            self.look()
        for each in unknown:
            each.know_idle(disturbed)

    def begin(self, *, watch: bool = True) -> None:
        self._window = None
        for each in self._sensors:
            each.begin()
        self.look()
        if watch and self.has_sensor and self._interval_s is not None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)
            self._thread.start()

    def heard(self, steps: int, at_s: float) -> None:
        """After ``steps`` measured steps, at this moment of the monotonic clock; 0 when they
        begin."""
        now_s = self._clock()
        if not now_s - LATE_S <= at_s <= now_s:
            at_s = now_s  # another clock than ours
        if steps == 0 or self._window is None:
            self._window = MeasuredWindow(at_s, at_s, 0)
        else:
            self._window = replace(self._window, to_s=at_s, steps=steps)
        self.look(LEAST_BETWEEN_S if steps else 0.0)

    def end(self, window: MeasuredWindow | None = None) -> None:
        """Stop reading. ``window`` where it was not heard of, but seen from outside."""
        self._window = window or self._window
        if self._window is not None and self._interval_s is not None:
            # Sensors still have to count what happened at the end of the window.
            ready_s = self._window.to_s + max((e.period_s for e in self._sensors), default=0.0)
            time.sleep(min(max(0.0, ready_s - self._clock()), 2 * INTERVAL_S))
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.look()

    def look(self, least_between_s: float = 0.0) -> None:
        """Read every sensor now, unless that was done less than so long ago."""
        with self._lock:
            for each in self._sensors:
                times = each.record.at_s
                if not times or self._clock() - times[-1] >= least_between_s:
                    each.look(self._clock)

    def _watch(self) -> None:
        assert self._interval_s is not None
        while not self._stop.wait(self._interval_s):
            self.look()

    # -- after it --------------------------------------------------------------------------

    def beside(self, measurement: Measurement) -> Measurement:
        """The measurement with the energy of its measured steps, or why it is not known."""
        device = self._energy(measurement, self._devices)
        host = self._energy(measurement, [self._host])
        return replace(
            measurement,
            energy=None if isinstance(device, Missing) else device,
            energy_unavailable=device.reason if isinstance(device, Missing) else "",
            host_energy=None if isinstance(host, Missing) else host,
            host_energy_unavailable=host.reason if isinstance(host, Missing) else "",
        )

    def _energy(self, measurement: Measurement, sensors: Sequence[Sensor]) -> Maybe[Energy]:
        for each in sensors:
            if isinstance(each.counter, Missing):
                return each.counter
        window = self._window
        if window is None or not window.steps or window.duration_s <= 0:
            return Missing("the run ended before any step was measured")
        found = _together([each.energy(window) for each in sensors])
        if isinstance(found, Missing):
            return found
        if found.value_j <= 0:
            return Missing("the counter did not move while the steps were measured")
        if found.half_width > WIDEST:
            return Missing(
                f"the measured steps took {window.duration_s:.2g} s: in so short a time this "
                f"sensor measures energy only to within ± {found.half_width * 100:.0f} %"
            )
        counter = sensors[0].counter
        assert not isinstance(counter, Missing)
        idle_w = _idle_w(sensors)
        return Energy(
            energy_j=found.value_j,
            low_j=found.low_j,
            high_j=found.high_j,
            window_s=window.duration_s,
            steps=window.steps,
            samples=window.steps * measurement.effective_batch_size,
            source=counter.source,
            scope=counter.scope,
            idle_power_w=None if isinstance(idle_w, Missing) else idle_w,
            idle_unavailable=idle_w.reason if isinstance(idle_w, Missing) else "",
        )


def _together(found: Sequence[Maybe[Joules]]) -> Maybe[Joules]:
    """The sum over devices; without one of them it would be too small, and is missing."""
    total = Joules(0.0, 0.0, 0.0)
    for each in found:
        if isinstance(each, Missing):
            return each
        total += each
    return total


def _idle_w(sensors: Sequence[Sensor]) -> Maybe[float]:
    total_w = 0.0
    for each in sensors:
        if each.idle_w is None or isinstance(each.idle_w, Missing):
            return each.idle_w or Missing("nobody looked at the idle device")
        total_w += each.idle_w
    return total_w
