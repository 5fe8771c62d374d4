"""What is true now, as a command or a client of the service says of its own machine.

``check`` and ``run`` look at the device and the workload themselves; over HTTP their client sends
what it saw. Nothing is verified: the service cannot see that machine. What they do not say is not
compared.
"""

from __future__ import annotations

from app.machine.local_facts import DeviceNow
from app.validity.comparison import Conditions
from probes.devices.fingerprint import Fingerprint


def conditions_of(
    device: DeviceNow | None, source_hash: str | None, *, time_scale: float | None = None
) -> Conditions:
    """``None`` where nothing was looked at."""
    if device is None:
        return Conditions(source_hash=source_hash, time_scale=time_scale)
    return Conditions(
        fingerprint=device.fingerprint,
        groups=Fingerprint.from_dict(device.document) if device.document else None,
        environment=device.environment,
        source_hash=source_hash,
        time_scale=time_scale,
    )
