"""The meters of a session: each is made when its device is first measured, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.telemetry import Telemetry
from probes.energy.meter import EnergyMeter
from probes.energy.rapl import POWERCAP
from probes.energy.sensor import Sensor
from probes.energy.sensors import device_counter, host_counter
from probes.energy.watch import ProbeWatch


class Meters:
    """Looks for a device's sensors once."""

    def __init__(self, nvml: Any = None, powercap: Path = POWERCAP) -> None:
        self._nvml = nvml
        self._powercap = powercap
        self._sensors: dict[str, Sensor] = {}
        self._meters: dict[tuple[str, ...], EnergyMeter] = {}

    def watch(self, telemetry: Telemetry | None) -> ProbeWatch:
        """For one probe on the devices of this telemetry. Call it while nothing of ours uses them:
        the first time, an idle device with a sensor is watched for a second."""
        return ProbeWatch(telemetry, None if telemetry is None else self._ready(telemetry))

    def _ready(self, telemetry: Telemetry) -> EnergyMeter:
        members = telemetry.members
        key = tuple(each.device for each in members)
        if key not in self._meters:
            devices = [self._device(facts) for facts in members]
            self._meters[key] = EnergyMeter(devices, self._host(members[0]))
        meter = self._meters[key]
        meter.know_idle(telemetry.is_disturbed)
        return meter

    def _device(self, facts: DeviceFacts) -> Sensor:
        """The idle power of a device is kept with it: a group that it belongs to needs it too."""
        if facts.device not in self._sensors:
            found = device_counter(facts, self._nvml, self._powercap)
            self._sensors[facts.device] = Sensor(found)
        return self._sensors[facts.device]

    def _host(self, facts: DeviceFacts) -> Sensor:
        name = f"host beside {facts.kind}"
        if name not in self._sensors:
            self._sensors[name] = Sensor(host_counter(facts, self._powercap))
        return self._sensors[name]
