"""What every sensor looks like from outside: a total of joules that only rises."""

from __future__ import annotations

from typing import Protocol

DEVICE, HOST = "device", "host"
"""What a sensor covers: one device, or everything that runs on the host."""


THE_DEVICE = "the CPU is the device: its energy is the host's"
"""Why the host has no energy beside that of the CPU."""


class SensorError(Exception):
    """A sensor that was there no longer answers; the message says why."""


class EnergyCounter(Protocol):
    """A sensor. Only differences between two readings mean something."""

    source: str
    """Its name for people: ``NVML counter``."""
    scope: str
    """``DEVICE`` or ``HOST``."""
    period_s: float
    """How often it is updated: a reading may be as old as this."""

    def read_j(self) -> float:
        """The total so far, in joules. Raises ``SensorError``."""
        ...
