"""NVIDIA telemetry, in the parent process. Every call is optional and misses for its own reason.

MIG slices have no utilisation, GB10 no memory figure, WSL no process list, containers often no
permission: a reading with holes is normal, an exception is not.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from probes.devices.host import hash_uuid
from probes.devices.reading import Maybe, Missing

THROTTLE_BITS = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
"""Idle (0x1), application clocks (0x2) and the rest are no faults."""

HARMLESS_THROTTLING = frozenset({"software power cap"})
"""Normal on cards with a lowered power limit: recorded, but it spoils nothing."""

NVLINK, PCIE, SYSTEM = "nvlink", "pcie", "system"
"""Kinds of link between two devices. ``system`` is PCIe from one CPU socket to another."""
NO_UUID = Missing("torch did not report the device's UUID, so NVML cannot be matched to it")
MOST_NVLINKS = 18
"""Links that a device can have; the driver has no call that tells the number."""

_REASONS = {
    "NotSupported": "this device does not report it",
    "NoPermission": "the driver shows it to administrators only",
    "FunctionNotFound": "the installed driver is too old to report it",
    "LibraryNotFound": "the NVIDIA driver library (libnvidia-ml) was not found: no driver is "
    "installed, or the container was started without GPU access",
    "DriverNotLoaded": "the NVIDIA driver is not loaded",
    "GpuIsLost": "the device has fallen off the bus: restart the machine",
    "Uninitialized": "NVML was shut down",
    "Timeout": "the driver did not answer in time",
}


class NvmlDevice:
    """One NVIDIA device, matched by UUID (an index can differ from torch's)."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    @classmethod
    def find(cls, uuid_hash: str, nvml: Any = None) -> Maybe[NvmlDevice]:
        """The device whose UUID has this hash (see ``host.hash_uuid``), or why there is none."""
        found = cls.all(nvml)
        if isinstance(found, Missing):
            return found
        for device in found:
            if device.uuid_hash == uuid_hash:
                return device
        return Missing("NVML lists no device with this UUID: the driver hides it from here")

    @classmethod
    def all(cls, nvml: Any = None) -> Maybe[list[NvmlDevice]]:
        """Every device of this machine, in NVML's order, or why none can be listed."""
        if nvml is None:
            try:
                nvml = importlib.import_module("pynvml")
            except ImportError:
                return Missing("nvidia-ml-py is not installed: pip install nvidia-ml-py")
        started = _call(nvml, "nvmlInit")
        if isinstance(started, Missing):
            return started
        return [cls(nvml, handle) for handle in _handles(nvml)]

    @property
    def uuid_hash(self) -> str | None:
        """The UUID, made anonymous; ``None`` where the driver does not tell it."""
        uuid = self._get("nvmlDeviceGetUUID")
        return None if isinstance(uuid, Missing) else hash_uuid(_text(uuid))

    @property
    def name(self) -> str:
        """The product's name."""
        name = self._get("nvmlDeviceGetName")
        return "NVIDIA device" if isinstance(name, Missing) else _text(name)

    @property
    def total_bytes(self) -> Maybe[int]:
        """Memory of the whole device."""
        total: Maybe[int] = self._attribute("nvmlDeviceGetMemoryInfo", "total")
        return total

    @property
    def power_w(self) -> Maybe[float]:
        """On most devices the mean of the last second."""
        return self._scaled(1e-3, "nvmlDeviceGetPowerUsage")

    @property
    def energy_j(self) -> Maybe[float]:
        """A total since the driver was loaded, on Volta and later."""
        return self._scaled(1e-3, "nvmlDeviceGetTotalEnergyConsumption")

    @property
    def power_limit_mw(self) -> Maybe[int]:
        """The limit that was asked for last, in milliwatts."""
        limit: Maybe[int] = self._get("nvmlDeviceGetPowerManagementLimit")
        return limit

    @property
    def power_limit_range_mw(self) -> Maybe[tuple[int, int]]:
        """The least and the most that the limit can be."""
        found = self._get("nvmlDeviceGetPowerManagementLimitConstraints")
        return found if isinstance(found, Missing) else (int(found[0]), int(found[1]))

    def set_power_limit_mw(self, limit_mw: int) -> Missing | None:
        """Why the driver refuses it; ``None`` where it is set."""
        refused = self._get("nvmlDeviceSetPowerManagementLimit", limit_mw)
        return refused if isinstance(refused, Missing) else None

    def read(self) -> dict[str, Any]:
        """Fields of a ``Reading`` that NVML knows."""
        return {
            "power_w": self.power_w,
            "energy_j": self.energy_j,
            "temperature_c": self._scaled(
                1.0, "nvmlDeviceGetTemperature", self._constant("NVML_TEMPERATURE_GPU", 0)
            ),
            "sm_clock_mhz": self._get("nvmlDeviceGetClockInfo", self._constant("NVML_CLOCK_SM", 1)),
            "memory_clock_mhz": self._get(
                "nvmlDeviceGetClockInfo", self._constant("NVML_CLOCK_MEM", 2)
            ),
            "utilisation_percent": self._attribute("nvmlDeviceGetUtilizationRates", "gpu"),
            "throttle_reasons": self._throttle_reasons(),
            **self.memory(),
        }

    def memory(self) -> dict[str, Any]:
        """Of ``read``, what is in use: of the device, and by process. Bytes."""
        return {
            "memory_used_bytes": self._attribute("nvmlDeviceGetMemoryInfo", "used"),
            "process_bytes": self._processes(),
        }

    def facts(self) -> dict[str, Any]:
        """What belongs in a fingerprint: ``identity`` and ``device_class`` as torch cannot know
        them. Values may be ``Missing``."""
        driver = _call(self._nvml, "nvmlSystemGetDriverVersion")
        mig = self._get("nvmlDeviceGetMigMode")
        ecc = self._get("nvmlDeviceGetEccMode")
        return {
            "identity": {
                "driver": driver if isinstance(driver, Missing) else _text(driver),
                "mig": mig if isinstance(mig, Missing) else bool(mig[0]),
            },
            "device_class": {
                "power_limit_w": self._scaled(1e-3, "nvmlDeviceGetEnforcedPowerLimit"),
                "max_sm_clock_mhz": self._get(
                    "nvmlDeviceGetMaxClockInfo", self._constant("NVML_CLOCK_SM", 1)
                ),
                "max_memory_clock_mhz": self._get(
                    "nvmlDeviceGetMaxClockInfo", self._constant("NVML_CLOCK_MEM", 2)
                ),
                "ecc": ecc if isinstance(ecc, Missing) else bool(ecc[0]),
            },
            "state": {"remapped_rows": self._remapped_rows()},
        }

    def link_to(self, other: NvmlDevice) -> Maybe[str]:
        """How this device reaches another one: ``nvlink`` (also through a switch), ``pcie`` or
        ``system``."""
        ok = self._constant("NVML_P2P_STATUS_OK", 0)
        index = self._constant("NVML_P2P_CAPS_INDEX_NVLINK", 2)
        peer = self._get("nvmlDeviceGetP2PStatus", other._handle, index)
        if peer == ok or (isinstance(peer, Missing) and self._has_nvlink_to(other)):
            return NVLINK
        ancestor = self._get("nvmlDeviceGetTopologyCommonAncestor", other._handle)
        if isinstance(ancestor, Missing):
            return ancestor
        return SYSTEM if ancestor >= self._constant("NVML_TOPOLOGY_SYSTEM", 50) else PCIE

    def _has_nvlink_to(self, other: NvmlDevice) -> bool:
        """Whether one of the active links ends at the other device, for drivers that do not tell
        what the devices can do with each other."""
        there = other._attribute("nvmlDeviceGetPciInfo", "busId")
        for number in range(MOST_NVLINKS):
            if self._get("nvmlDeviceGetNvLinkState", number) != 1:
                continue
            end = self._get("nvmlDeviceGetNvLinkRemotePciInfo", number)
            if not isinstance(end, Missing) and end.busId == there:
                return True
        return False

    def _throttle_reasons(self) -> Maybe[list[str]]:
        bits = self._get("nvmlDeviceGetCurrentClocksEventReasons")
        if isinstance(bits, Missing):  # named otherwise until driver 535
            bits = self._get("nvmlDeviceGetCurrentClocksThrottleReasons")
        if isinstance(bits, Missing):
            return bits
        return [name for bit, name in THROTTLE_BITS.items() if int(bits) & bit]

    def _processes(self) -> Maybe[dict[int, int]]:
        found = self._get("nvmlDeviceGetComputeRunningProcesses")
        if isinstance(found, Missing):
            return found
        return {int(process.pid): int(process.usedGpuMemory or 0) for process in found}

    def _remapped_rows(self) -> Any:
        rows = self._get("nvmlDeviceGetRemappedRows")
        if isinstance(rows, Missing):
            return rows
        correctable, uncorrectable, pending, failure = (int(value) for value in tuple(rows)[:4])
        return {
            "correctable": correctable,
            "uncorrectable": uncorrectable,
            "pending": bool(pending),
            "failure": bool(failure),
        }

    def _get(self, name: str, *arguments: Any) -> Any:
        return _call(self._nvml, name, self._handle, *arguments)

    def _scaled(self, factor: float, name: str, *arguments: Any) -> Maybe[float]:
        value = self._get(name, *arguments)
        return value if isinstance(value, Missing) else float(value) * factor

    def _attribute(self, name: str, attribute: str) -> Any:
        value = self._get(name)
        return value if isinstance(value, Missing) else getattr(value, attribute)

    def _constant(self, name: str, default: int) -> int:
        return int(getattr(self._nvml, name, default))


def _handles(nvml: Any) -> Iterator[Any]:
    """Every device, and the MIG slices of those that are cut."""
    count = _call(nvml, "nvmlDeviceGetCount")
    for index in range(0 if isinstance(count, Missing) else int(count)):
        handle = _call(nvml, "nvmlDeviceGetHandleByIndex", index)
        if isinstance(handle, Missing):
            continue
        yield handle
        slices = _call(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle)
        for number in range(0 if isinstance(slices, Missing) else int(slices)):
            part = _call(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
            if not isinstance(part, Missing):
                yield part


def _call(nvml: Any, name: str, *arguments: Any) -> Any:
    """One NVML call; its value, or a ``Missing`` that says why not. Never raises."""
    function = getattr(nvml, name, None)
    if function is None:
        return Missing(f"the installed nvidia-ml-py has no {name}: update it")
    try:
        return function(*arguments)
    except nvml.NVMLError as error:
        kind = type(error).__name__.removeprefix("NVMLError_")
        return Missing(_REASONS.get(kind, f"NVML: {error}"))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
