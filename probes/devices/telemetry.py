"""What happened to the machine while a probe ran: the parent watches, the worker is not disturbed.

``begin`` and ``end`` frame a probe; in between a thread reads the sensors about seven times a
second. What spoils the numbers (heat, a hardware brake, another program) becomes a *taint*;
what is merely worth knowing becomes a note. Between probes, ``wait_for_quiet`` gives a busy
machine a moment to calm down.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.machine import CpuUse, Machine, other_cores
from probes.devices.nvml import HARMLESS_THROTTLING, NO_UUID, NvmlDevice
from probes.devices.reading import NOT_READ, Maybe, Missing, Reading, plain
from probes.formatting import size_text
from probes.measurement import Measurement

SAMPLE_INTERVAL_S = 0.15
FOREIGN_CPU_SHARE = 0.2
"""Others may use this share of the cores before a CPU measurement counts as disturbed."""
FOREIGN_GROWTH_BYTES = 64 * 2**20
SWAP_GROWTH_BYTES = 16 * 2**20
BUSY_PERCENT = 10.0
QUIET_WINDOW_S = 1.0
"""The machine is watched for this time before it counts as quiet. Seconds."""


@dataclass(frozen=True)
class TelemetryWindow:
    """The machine during one probe."""

    before: Reading
    after: Reading
    duration_s: float
    samples: int
    max_temperature_c: Maybe[float]
    mean_power_w: Maybe[float]
    energy_j: Maybe[float]
    min_sm_clock_mhz: Maybe[int]
    throttle_reasons: list[str] = field(default_factory=list)
    """All that were seen, the harmless ones included."""
    swap_growth_bytes: Maybe[int] = NOT_READ
    other_cpu_cores: Maybe[float] = NOT_READ
    taints: list[str] = field(default_factory=list)
    """Why the step times may be too long."""
    memory_taints: list[str] = field(default_factory=list)
    """Those of ``taints`` that took memory which the probe could have had."""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; a value that could not be read is ``{"missing": reason}``."""
        return {name: plain(value) for name, value in self.__dict__.items()}

    def beside(self, measurement: Measurement) -> Measurement:
        """The measurement with what was seen of the machine while it was made."""
        return replace(
            measurement,
            tainted=[*measurement.tainted, *self.taints],
            notes=[*measurement.notes, *self.notes],
            state=self.to_dict(),
        )


class Telemetry:
    """Watches one device and its host.

    Nothing here raises for a missing sensor, library or permission: the value is then a
    ``Missing`` with the reason.
    """

    def __init__(
        self,
        facts: DeviceFacts,
        *,
        name: str = "the device",
        watches_host: bool = True,
        machine: Machine | None = None,
        nvml: Any = None,
        interval_s: float = SAMPLE_INTERVAL_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``name`` is what taints call the device. Without ``watches_host`` they are about the
        device only."""
        self.facts = facts
        self._name = name
        self._watches_host = watches_host
        self._machine = machine or Machine()
        self._device = _find_device(facts, nvml)
        self._interval_s = interval_s
        self._sleep = sleep
        self._own_pids: list[int] = []
        self._samples: list[Reading] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._began_s = 0.0
        self._before = Reading()
        self._cpu_before: Maybe[CpuUse] = NOT_READ

    @property
    def members(self) -> list[DeviceFacts]:
        """The devices that are watched."""
        return [self.facts]

    def read(self) -> Reading:
        """One reading, now."""
        reading = self._sensors()
        return replace(reading, **self._machine.read())

    def device_facts(self) -> dict[str, Any]:
        """What a fingerprint needs and torch does not know; empty parts where nothing is known."""
        if isinstance(self._device, NvmlDevice):
            return self._device.facts()
        return {"identity": {}, "device_class": {}, "state": {}}

    def begin(self, worker_pid: int, *others: int) -> None:
        """Start watching. Call it before the workers use the device, so that all use of the device
        up to then is known to be foreign."""
        self._own_pids = [os.getpid(), worker_pid, *others]
        self._samples = []
        self._stop.clear()
        self._before = self.read()
        self._cpu_before = self._machine.cpu_use(self._own_pids)
        self._began_s = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="telemetry", daemon=True)
        self._thread.start()

    def end(self) -> TelemetryWindow:
        """Stop watching. Call it while the worker is alive, so that its CPU time can be read."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        after = self.read()
        cpu_after = self._machine.cpu_use(self._own_pids)
        duration_s = time.monotonic() - self._began_s
        readings = [self._before, *self._samples, after]
        window = TelemetryWindow(
            before=self._before,
            after=after,
            duration_s=duration_s,
            samples=len(readings),
            max_temperature_c=_over(max, [r.temperature_c for r in readings]),
            mean_power_w=_over(_mean, [r.power_w for r in readings]),
            energy_j=_growth(self._before.energy_j, after.energy_j),
            min_sm_clock_mhz=_over(min, [r.sm_clock_mhz for r in readings]),
            throttle_reasons=_seen([r.throttle_reasons for r in readings]),
            swap_growth_bytes=_growth(self._before.swap_used_bytes, after.swap_used_bytes),
            other_cpu_cores=other_cores(self._cpu_before, cpu_after),
        )
        return self._judged(window, readings, self._machine.family(self._own_pids))

    def wait_for_quiet(self, within_s: float) -> float:
        """Wait until no other process keeps the device busy or hot, at most ``within_s`` seconds.

        Returns the seconds waited. Call it between probes, when nothing of ours is running.
        """
        waited_s = 0.0
        while waited_s < within_s:
            window_s = min(QUIET_WINDOW_S, within_s - waited_s)
            waited_s += window_s
            if not self.is_disturbed(window_s):
                break
        return waited_s

    def is_disturbed(self, window_s: float) -> bool:
        """Whether a probe in the window that begins now would be tainted by another process."""
        own = [os.getpid()]
        before = self._machine.cpu_use(own)
        self._sleep(window_s)
        if self.facts.kind == "cpu":
            return self._is_foreign_load(other_cores(before, self._machine.cpu_use(own)))
        now = self._sensors()
        busy, slowed = now.utilisation_percent, _seen([now.throttle_reasons])
        return bool(set(slowed) - HARMLESS_THROTTLING) or (
            not isinstance(busy, Missing) and busy > BUSY_PERCENT
        )

    def _is_foreign_load(self, others: Maybe[float]) -> bool:
        return not isinstance(others, Missing) and others > FOREIGN_CPU_SHARE * self._machine.cores

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._samples.append(self._sensors())

    def _sensors(self) -> Reading:
        if isinstance(self._device, NvmlDevice):
            return Reading(**self._device.read())
        missing = self._device
        if self.facts.kind == "cpu":
            return Reading(temperature_c=self._machine.cpu_temperature_c())
        return Reading(
            power_w=missing,
            energy_j=missing,
            temperature_c=missing,
            sm_clock_mhz=missing,
            memory_clock_mhz=missing,
            memory_used_bytes=missing,
            utilisation_percent=missing,
            throttle_reasons=missing,
            process_bytes=missing,
        )

    def _judged(
        self, window: TelemetryWindow, readings: list[Reading], own: set[int]
    ) -> TelemetryWindow:
        taints, notes = [], []
        for reason in window.throttle_reasons:
            if reason in HARMLESS_THROTTLING:
                notes.append(f"{self._name} ran at its power limit ({reason})")
            else:
                hot = window.max_temperature_c
                at = "" if isinstance(hot, Missing) else f" at up to {hot:.0f} °C"
                taints.append(f"{self._name} slowed down: {reason}{at}")
        taints.extend(foreign_load(window.before, own, self._name))
        if self._watches_host:
            self._judge_host(window, taints, notes)
        memory_taints = foreign_memory(readings, own, self._name)
        notes.extend(neighbours(window.before, own, self._name))
        return replace(
            window, taints=taints + memory_taints, memory_taints=memory_taints, notes=notes
        )

    def _judge_host(self, window: TelemetryWindow, taints: list[str], notes: list[str]) -> None:
        swap = window.swap_growth_bytes
        if not isinstance(swap, Missing) and swap > SWAP_GROWTH_BYTES:
            # Memory is not in doubt: a probe that swaps makes it grow itself, and is a spill.
            taints.append(f"swap in use grew by {size_text(swap)} during the probe")
        others = window.other_cpu_cores
        if self._is_foreign_load(others):
            text = f"other processes used {others:.1f} of {self._machine.cores} cores"
            (taints if self.facts.kind == "cpu" else notes).append(text)


def foreign_load(before: Reading, own: set[int], name: str = "the device") -> list[str]:
    """Signs that another process kept the device computing when the probe began."""
    busy = before.utilisation_percent
    if _others(before, own) and not isinstance(busy, Missing) and busy > BUSY_PERCENT:
        return [f"another process kept {name} {busy:.0f} % busy before the probe began"]
    return []


def foreign_memory(readings: list[Reading], own: set[int], name: str = "the device") -> list[str]:
    """Signs that another process took memory of the device while the probe ran.

    Who is in the first reading, before the worker touched the device, is foreign. In a container
    the driver may list host process ids, none of which is ours: one newcomer is then taken for
    the worker.
    """
    lists = [r.process_bytes for r in readings if not isinstance(r.process_bytes, Missing)]
    if isinstance(readings[0].process_bytes, Missing):
        return []
    most: dict[int, int] = {}
    for processes in lists:
        for pid, used in processes.items():
            most[pid] = max(used, most.get(pid, 0))
    others = _others(readings[0], own)
    taints = [
        f"process {pid} allocated another {size_text(most[pid] - used)} on {name}"
        for pid, used in others.items()
        if most[pid] - used > FOREIGN_GROWTH_BYTES
    ]
    newcomers = [pid for pid in most if pid not in others and pid not in own]
    if len(newcomers) > int(not own & set(most)):
        taints.append(f"another process started to use {name} during the probe")
    return taints


def neighbours(before: Reading, own: set[int], name: str = "the device") -> list[str]:
    """Who held memory of the device from the beginning: it was taken off the cap, not disturbed."""
    return [
        f"process {pid} held {size_text(used)} of {name}"
        for pid, used in _others(before, own).items()
        if used > FOREIGN_GROWTH_BYTES
    ]


def _others(before: Reading, own: set[int]) -> dict[int, int]:
    if isinstance(before.process_bytes, Missing):
        return {}
    return {pid: used for pid, used in before.process_bytes.items() if pid not in own}


def _find_device(facts: DeviceFacts, nvml: Any) -> Maybe[NvmlDevice]:
    if facts.kind != "cuda":
        return NOT_READ
    uuid = facts.identity.get("uuid")
    if not isinstance(uuid, str):
        return NO_UUID
    return NvmlDevice.find(uuid, nvml)


def _over(combine: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    known = [value for value in values if not isinstance(value, Missing)]
    return combine(known) if known else values[0]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _growth(before: Any, after: Any) -> Any:
    if isinstance(before, Missing):
        return before
    return after if isinstance(after, Missing) else after - before


def _seen(lists: list[Maybe[list[str]]]) -> list[str]:
    seen: list[str] = []
    for reasons in lists:
        if not isinstance(reasons, Missing):
            seen.extend(reason for reason in reasons if reason not in seen)
    return seen
