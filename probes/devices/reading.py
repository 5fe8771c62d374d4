"""One look at a device and its host. Every value is there, or says why it is not."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Missing:
    """A value that could not be read, and why. ``{"missing": reason}`` in JSON."""

    reason: str


NOT_READ = Missing("nothing reads it on this kind of device")

Maybe: TypeAlias = T | Missing


@dataclass(frozen=True)
class Reading:
    """A moment's state. Units are in the names."""

    power_w: Maybe[float] = NOT_READ
    energy_j: Maybe[float] = NOT_READ
    """A counter since the driver was loaded: only differences mean something."""
    temperature_c: Maybe[float] = NOT_READ
    sm_clock_mhz: Maybe[int] = NOT_READ
    memory_clock_mhz: Maybe[int] = NOT_READ
    memory_used_bytes: Maybe[int] = NOT_READ
    """On the whole device, by all processes."""
    utilisation_percent: Maybe[float] = NOT_READ
    throttle_reasons: Maybe[list[str]] = NOT_READ
    process_bytes: Maybe[dict[int, int]] = NOT_READ
    """Device memory by process id; 0 where the driver does not say how much."""
    host_available_bytes: Maybe[int] = NOT_READ
    swap_used_bytes: Maybe[int] = NOT_READ
    cpu_load_percent: Maybe[float] = NOT_READ
    """Load average of the last minute over the number of cores."""

    def to_dict(self) -> dict[str, Any]:
        return {item.name: plain(getattr(self, item.name)) for item in fields(self)}


def plain(value: Any) -> Any:
    """JSON-ready: a ``Missing`` becomes ``{"missing": reason}``, dataclasses become objects."""
    if isinstance(value, Missing):
        return {"missing": value.reason}
    if isinstance(value, Reading):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
