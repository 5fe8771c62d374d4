"""The machine while a gang trains: every device of the group is watched, and a taint says which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.reading import Missing, Reading
from probes.devices.telemetry import Telemetry, TelemetryWindow


class GroupTelemetry(Telemetry):
    """Several devices of one host, with the interface of ``Telemetry`` for one.

    Power and energy are sums over the devices, temperatures and use are the highest, clocks the
    lowest. The host is watched once.
    """

    def __init__(self, members: Sequence[DeviceFacts], *, nvml: Any = None, **more: Any) -> None:
        self.facts = members[0]
        self._members = [
            Telemetry(facts, name=facts.device, watches_host=not rank, nvml=nvml, **more)
            for rank, facts in enumerate(members)
        ]

    @property
    def members(self) -> list[DeviceFacts]:
        return [each.facts for each in self._members]

    def read(self) -> Reading:
        return _together([each.read() for each in self._members])

    def device_facts(self) -> dict[str, Any]:
        """Each device has facts of its own: a group has none besides."""
        return {"identity": {}, "device_class": {}, "state": {}}

    def begin(self, worker_pid: int, *others: int) -> None:
        for each in self._members:
            each.begin(worker_pid, *others)

    def end(self) -> TelemetryWindow:
        windows = [each.end() for each in self._members]
        first = windows[0]
        return TelemetryWindow(
            before=_together([each.before for each in windows]),
            after=_together([each.after for each in windows]),
            duration_s=max(each.duration_s for each in windows),
            samples=sum(each.samples for each in windows),
            max_temperature_c=_known(max, [each.max_temperature_c for each in windows]),
            mean_power_w=_all_known(sum, [each.mean_power_w for each in windows]),
            energy_j=_all_known(sum, [each.energy_j for each in windows]),
            min_sm_clock_mhz=_known(min, [each.min_sm_clock_mhz for each in windows]),
            throttle_reasons=_each_once(each.throttle_reasons for each in windows),
            swap_growth_bytes=first.swap_growth_bytes,
            other_cpu_cores=first.other_cpu_cores,
            taints=_each_once(each.taints for each in windows),
            memory_taints=_each_once(each.memory_taints for each in windows),
            notes=_each_once(each.notes for each in windows),
        )

    def is_disturbed(self, window_s: float) -> bool:
        """Whether any of the devices is; all are looked at when the time is over."""
        first, *others = self._members
        return any([first.is_disturbed(window_s), *(each.is_disturbed(0.0) for each in others)])

    def wait_for_quiet(self, within_s: float) -> float:
        """Until every device is quiet; the devices are looked at one after the other."""
        waited_s = 0.0
        for each in self._members:
            if waited_s < within_s:
                waited_s += each.wait_for_quiet(within_s - waited_s)
        return waited_s


_COMBINED: dict[str, Callable[[list[Any]], Any]] = {
    "temperature_c": max,
    "sm_clock_mhz": min,
    "memory_clock_mhz": min,
    "memory_used_bytes": max,
    "utilisation_percent": max,
}
_SUMMED = ("power_w", "energy_j")


def _together(readings: Sequence[Reading]) -> Reading:
    """One reading for several devices; the host's values are the same in all."""
    values: dict[str, Any] = {}
    for field in fields(Reading):
        found = [getattr(reading, field.name) for reading in readings]
        if field.name in _SUMMED:
            values[field.name] = _all_known(sum, found)
        elif field.name in _COMBINED:
            values[field.name] = _known(_COMBINED[field.name], found)
        elif field.name == "process_bytes":
            values[field.name] = _all_known(_by_process, found)
        elif field.name == "throttle_reasons":
            values[field.name] = _all_known(_each_once, found)
        else:
            values[field.name] = found[0]
    return Reading(**values)


def _by_process(lists: list[dict[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for processes in lists:
        for pid, used in processes.items():
            total[pid] = total.get(pid, 0) + used
    return total


def _known(combine: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    """Over the values that could be read; the first ``Missing`` where none could."""
    known = [value for value in values if not isinstance(value, Missing)]
    return combine(known) if known else values[0]


def _all_known(combine: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    """A sum without one of its parts would be too small: it is missing then."""
    return next((value for value in values if isinstance(value, Missing)), None) or combine(values)


def _each_once(lists: Iterable[list[str]]) -> list[str]:
    return list(dict.fromkeys(text for texts in lists for text in texts))
