"""Energy sensors that follow a script: the truth is known to the joule, and the clock is ours."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pynvml

from probes.devices.base import DeviceFacts
from probes.devices.host import hash_uuid
from probes.energy.record import MeasuredWindow
from probes.formatting import GIB

UUIDS = ("GPU-6fa3d1b2-0000-1111-2222-333344445555", "GPU-77777777-0000-1111-2222-333344445555")


@dataclass
class Power:
    """Watts from each moment on: ``[(0.0, 60.0), (2.0, 300.0)]``."""

    steps: list[tuple[float, float]]

    def at(self, at_s: float) -> float:
        place = bisect_right([begin for begin, _ in self.steps], at_s) - 1
        return self.steps[max(0, place)][1]

    def joules(self, from_s: float, to_s: float) -> float:
        """The truth."""
        ends = [*(begin for begin, _ in self.steps[1:]), float("inf")]
        return sum(
            watts * max(0.0, min(to_s, end) - max(from_s, begin))
            for (begin, watts), end in zip(self.steps, ends)
        )


@dataclass
class Clock:
    now_s: float = 0.0
    listeners: list[Callable[[float], None]] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now_s

    def until(self, at_s: float) -> None:
        self.now_s = at_s
        for each in self.listeners:
            each(at_s)


class RaplTree:
    """A ``/sys/class/powercap`` whose counters follow a clock, as recorded from a server with two
    packages: what is counted twice or is no package is there too."""

    def __init__(self, root: Path, clock: Clock, *, wraps_at_uj: int = 262_143_328_850) -> None:
        self.root = root
        self.wraps_at_uj = wraps_at_uj
        self._zones: list[tuple[Path, Power, int]] = []
        clock.listeners.append(self.write)

    def zone(self, name: str, label: str, power: Power, starts_at_uj: int = 0) -> RaplTree:
        folder = self.root / name
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{label}\n")
        (folder / "max_energy_range_uj").write_text(f"{self.wraps_at_uj}\n")
        self._zones.append((folder, power, starts_at_uj))
        self.write(0.0)
        return self

    def write(self, at_s: float) -> None:
        for folder, power, start_uj in self._zones:
            total_uj = start_uj + int(power.joules(0.0, at_s) * 1e6)
            (folder / "energy_uj").write_text(f"{total_uj % self.wraps_at_uj}\n")


class ScriptedNvml:
    """NVML with one device per script. The counter moves every 0.1 s, as on real devices."""

    NVMLError = pynvml.NVMLError

    def __init__(self, clock: Clock, *powers: Power, **fails: Exception) -> None:
        self.clock = clock
        self.powers = powers
        self.fails = fails

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            if name in self.fails:
                raise self.fails[name]
            now_s = self.clock()
            answers: dict[str, Callable[[], Any]] = {
                "nvmlInit": lambda: None,
                "nvmlDeviceGetCount": lambda: len(self.powers),
                "nvmlDeviceGetHandleByIndex": lambda: arguments[0],
                "nvmlDeviceGetMaxMigDeviceCount": lambda: 0,
                "nvmlDeviceGetUUID": lambda: UUIDS[arguments[0]],
                "nvmlDeviceGetTotalEnergyConsumption": lambda: int(
                    1e3 * self.powers[arguments[0]].joules(0.0, int(now_s * 10) / 10)
                ),
                "nvmlDeviceGetPowerUsage": lambda: int(1e3 * self.powers[arguments[0]].at(now_s)),
            }
            return answers[name]()

        return call


def gpu(index: int = 0) -> DeviceFacts:
    return DeviceFacts(
        f"cuda:{index}", "cuda", "Scripted", GIB, None, identity={"uuid": hash_uuid(UUIDS[index])}
    )


def cpu() -> DeviceFacts:
    return DeviceFacts("cpu", "cpu", "Scripted", GIB, None)


def truth_j(window: MeasuredWindow, *powers: Power) -> float:
    return sum(power.joules(window.from_s, window.to_s) for power in powers)
