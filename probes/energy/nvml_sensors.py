"""The energy of an NVIDIA device, through NVML. The device is found by its UUID, as an index may be
another one in a container or under ``CUDA_VISIBLE_DEVICES``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from probes.devices.nvml import NO_UUID, NvmlDevice
from probes.devices.reading import Maybe, Missing
from probes.energy.counter import DEVICE, EnergyCounter, SensorError

COUNTER_PERIOD_S = 0.1
"""The driver updates the counter every 20 to 100 ms."""
POWER_PERIOD_S = 1.0
"""On most devices, the power that the driver tells is the mean of the last second."""


class NvmlCounter:
    """The driver's own total, on Volta and later."""

    source = "NVML counter"
    scope = DEVICE
    period_s = COUNTER_PERIOD_S

    def __init__(self, device: NvmlDevice) -> None:
        self._device = device

    def read_j(self) -> float:
        return _known(self._device.energy_j)


class NvmlPower:
    """Power times time, where the driver keeps no total."""

    source = "NVML power, integrated"
    scope = DEVICE
    period_s = POWER_PERIOD_S

    def __init__(self, device: NvmlDevice, clock: Callable[[], float] = time.monotonic) -> None:
        self._device = device
        self._clock = clock
        self._last: tuple[float, float] | None = None
        self._total_j = 0.0

    def read_j(self) -> float:
        power_w, now_s = _known(self._device.power_w), self._clock()
        if self._last is not None:
            then_s, then_w = self._last
            self._total_j += (power_w + then_w) / 2 * (now_s - then_s)
        self._last = now_s, power_w
        return self._total_j


def find_nvidia(uuid_hash: object, nvml: Any = None) -> Maybe[EnergyCounter]:
    """The best counter of the device with this UUID (see ``host.hash_uuid``), or why there is
    none."""
    if not isinstance(uuid_hash, str):
        return NO_UUID
    device = NvmlDevice.find(uuid_hash, nvml)
    if isinstance(device, Missing):
        return device
    energy, power = device.energy_j, device.power_w
    if not isinstance(energy, Missing):
        return NvmlCounter(device)
    return power if isinstance(power, Missing) else NvmlPower(device)


def _known(value: Maybe[float]) -> float:
    if isinstance(value, Missing):
        raise SensorError(f"NVML no longer reports it: {value.reason}")
    return value
