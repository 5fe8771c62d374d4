"""What is true now, as a command or a client of the service says of its own machine.

``check`` and ``run`` look at the device and the workload themselves; over HTTP their client sends
what it saw. Nothing is verified: the service cannot see that machine. What they do not say is not
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.machine.local_facts import DeviceNow
from app.validity.comparison import Conditions
from probes.devices.fingerprint import Fingerprint
from probes.errors import InputError


def conditions_of(
    device: DeviceNow | None, source_hash: str | None, *, time_scale: float | None = None
) -> Conditions:
    """``None`` where nothing was looked at. Raises ``InputError`` for a document that describes no
    device."""
    if device is None:
        return Conditions(source_hash=source_hash, time_scale=time_scale)
    return Conditions(
        fingerprint=device.fingerprint,
        groups=_groups(device.document),
        environment=device.environment,
        source_hash=source_hash,
        time_scale=time_scale,
    )


def _groups(document: Mapping[str, Any]) -> Fingerprint | None:
    if not document:
        return None
    missing = [name for name in ("identity", "device_class") if name not in document]
    if missing:
        raise InputError(
            f"The device's document lacks {' and '.join(missing)}. Send what "
            "`tonnage devices --json` prints, or leave the document out."
        )
    return Fingerprint.from_dict(dict(document))
