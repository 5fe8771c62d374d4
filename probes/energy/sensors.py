"""Which sensor tells the energy of a device and of its host."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.reading import Maybe, Missing
from probes.energy import zeus_sensors
from probes.energy.counter import DEVICE, HOST, THE_DEVICE, EnergyCounter
from probes.energy.nvml_sensors import find_nvidia
from probes.energy.rapl import NO_PERMISSION, POWERCAP, find_rapl

APPLE_DEVICE = ("gpu_mj", "gpu_sram_mj")
APPLE_HOST = ("cpu_total_mj", "dram_mj")


def device_counter(
    facts: DeviceFacts, nvml: Any = None, powercap: Path = POWERCAP
) -> Maybe[EnergyCounter]:
    """The counter of a device, or why there is none. That of the CPU counts the whole host."""
    find: dict[str, Callable[[], Maybe[EnergyCounter]]] = {
        "cpu": lambda: _of_host(powercap),
        "cuda": lambda: find_nvidia(facts.identity.get("uuid"), nvml),
        "rocm": lambda: zeus_sensors.find_amd(int(facts.device.partition(":")[2] or 0)),
        "mps": lambda: zeus_sensors.find_apple(*APPLE_DEVICE, scope=DEVICE),
    }
    if facts.kind not in find:
        return Missing("nothing here reads the energy of Intel GPUs")
    return find[facts.kind]()


def host_counter(facts: DeviceFacts, powercap: Path = POWERCAP) -> Maybe[EnergyCounter]:
    """The counter of the host beside a device; of the CPU, there is none beside itself."""
    return Missing(THE_DEVICE) if facts.kind == "cpu" else _of_host(powercap)


def sensor_words(facts: DeviceFacts) -> str:
    """Which sensors there are, in one line."""
    found = {"device": device_counter(facts)}
    if facts.kind != "cpu":
        found["host"] = host_counter(facts)
    words = {
        name: f"not available, because {each.reason}" if isinstance(each, Missing) else each.source
        for name, each in found.items()
    }
    return "; ".join(
        text if name == "device" else f"{name}: {text}" for name, text in words.items()
    )


def _of_host(powercap: Path) -> Maybe[EnergyCounter]:
    if sys.platform == "darwin":
        return zeus_sensors.find_apple(*APPLE_HOST, scope=HOST)
    found = find_rapl(powercap)
    if found is not NO_PERMISSION:
        return found
    by_daemon = zeus_sensors.find_daemon_rapl()
    return found if isinstance(by_daemon, Missing) else by_daemon
