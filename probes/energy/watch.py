"""What is watched while one probe runs: the machine's state, and the energy of its steps."""

from __future__ import annotations

from typing import Any

from probes.devices.telemetry import Telemetry, TelemetryWindow
from probes.energy.meter import EnergyMeter
from probes.energy.record import MeasuredWindow
from probes.measurement import Measurement
from probes.timeouts import Progress


class ProbeWatch:
    """Telemetry and energy meter together, for one probe; see ``Meters.watch``. With neither, it
    does nothing."""

    def __init__(self, telemetry: Telemetry | None, meter: EnergyMeter | None) -> None:
        self._telemetry = telemetry
        self._meter = meter
        self._seen: TelemetryWindow | None = None
        self._began = False

    def begin(self, *pids: int) -> None:
        """Call it before the processes use the device."""
        self._began = True
        if self._telemetry is not None:
            self._telemetry.begin(*pids)
        if self._meter is not None:
            self._meter.begin()

    def end(self, window: MeasuredWindow | None = None) -> None:
        """Call it while the processes live, if they do. ``window`` are the measured steps of a
        command; a worker tells them itself."""
        if not self._began:
            return
        self._began = False
        if self._meter is not None:
            self._meter.end(window)
        if self._telemetry is not None:
            self._seen = self._telemetry.end()

    def listener(self, on_progress: Progress | None) -> Progress | None:
        """Passes a worker's messages on, but for those that are meant for the meter."""
        meter = self._meter
        if meter is None and on_progress is None:
            return None

        def heard(message: dict[str, Any]) -> None:
            if message.get("event") == "measured":
                if meter is not None:
                    meter.heard(int(message["steps"]), float(message["at_s"]))
            elif on_progress is not None:
                on_progress(message)

        return heard

    def beside(self, measurement: Measurement) -> Measurement:
        """The measurement with what was seen while it was made."""
        if self._seen is not None:
            measurement = self._seen.beside(measurement)
        return measurement if self._meter is None else self._meter.beside(measurement)
