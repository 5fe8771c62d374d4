"""The host around a device, in the parent process: memory, swap, temperature, who uses the CPU."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from probes.devices.reading import Maybe, Missing, T

SHORTEST_CPU_WINDOW_S = 0.5
"""CPU times tick in hundredths of a second: shorter windows say nothing about shares."""


@dataclass(frozen=True)
class CpuUse:
    """CPU seconds since boot, of all processes and of ours, at a moment of the monotonic clock."""

    at_s: float
    all_s: float
    own_s: float


class Machine:
    """Reads the host through psutil; without it every value is missing."""

    def __init__(self, psutil: Any = None) -> None:
        self._psutil = psutil
        self._reason = ""
        if psutil is None:
            try:
                self._psutil = importlib.import_module("psutil")
            except ImportError:
                self._reason = "psutil is not installed: pip install psutil"

    @property
    def cores(self) -> int:
        return int(self._psutil.cpu_count() or 1) if self._psutil else 1

    def read(self) -> dict[str, Any]:
        """Fields of a ``Reading`` that belong to the host."""
        return {
            "host_available_bytes": self._try(lambda p: int(p.virtual_memory().available)),
            "swap_used_bytes": self._try(lambda p: int(p.swap_memory().used)),
            "cpu_load_percent": self._try(
                lambda p: round(100 * p.getloadavg()[0] / (p.cpu_count() or 1), 1)
            ),
        }

    def cpu_temperature_c(self) -> Maybe[float]:
        """The hottest sensor that belongs to the processor."""

        def hottest(psutil: Any) -> float:
            sensors = psutil.sensors_temperatures()
            values = [
                entry.current
                for chip in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal")
                for entry in sensors.get(chip, [])
            ]
            return float(max(values))

        found = self._try(hottest)
        if isinstance(found, Missing) and not self._reason:
            return Missing("this machine shows no processor temperature")
        return found

    def cpu_use(self, pids: list[int]) -> Maybe[CpuUse]:
        """CPU time of all processes, and of these processes with all their descendants."""

        def use(psutil: Any) -> CpuUse:
            times = psutil.cpu_times()._asdict()
            # Guest time is contained in user time already.
            busy = sum(
                value
                for name, value in times.items()
                if name not in ("idle", "iowait", "guest", "guest_nice")
            )
            return CpuUse(time.monotonic(), busy, self._own_cpu_s(pids))

        return self._try(use)

    def family(self, pids: list[int]) -> set[int]:
        """These processes and all their descendants that are alive."""
        if not self._psutil:
            return set(pids)
        found = set(pids)
        for pid in pids:
            try:
                children = self._psutil.Process(pid).children(recursive=True)
            except self._psutil.Error:
                continue
            found.update(child.pid for child in children)
        return found

    def _own_cpu_s(self, pids: list[int]) -> float:
        total = 0.0
        for pid in self.family(pids):
            try:
                # Children that have ended are in their parent's account: nothing counts twice.
                total += sum(self._psutil.Process(pid).cpu_times()[:4])
            except self._psutil.Error:
                continue
        return total

    def _try(self, read: Callable[[Any], T]) -> Maybe[T]:
        if self._reason:
            return Missing(self._reason)
        try:
            return read(self._psutil)
        except Exception as error:  # psutil raises what the system raises
            return Missing(
                f"the system does not report it: {type(error).__name__} {error}".rstrip()
            )


def other_cores(before: Maybe[CpuUse], after: Maybe[CpuUse]) -> Maybe[float]:
    """How many cores other processes kept busy between two moments."""
    if isinstance(before, Missing):
        return before
    if isinstance(after, Missing):
        return after
    wall_s = after.at_s - before.at_s
    if wall_s < SHORTEST_CPU_WINDOW_S:
        return Missing(f"the window of {wall_s:.2f} s is too short to measure it")
    others_s = (after.all_s - before.all_s) - (after.own_s - before.own_s)
    return max(0.0, others_s / wall_s)
