"""The nodes of a gang while its ranks train: each is watched there, and a taint says which."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.reading import NOT_READ, Reading
from probes.devices.telemetry import Telemetry, TelemetryWindow
from probes.ranks.remote.parent import Host
from probes.ranks.remote.wire import HostLost


class HostsTelemetry(Telemetry):
    """Several nodes, with the interface of ``Telemetry`` for a device. The readings are those of
    the first node; what disturbs a measurement is told of all of them."""

    def __init__(self, hosts: Sequence[Host], members: Sequence[DeviceFacts]) -> None:
        self.facts = members[0]
        self._hosts = list(hosts)
        self._members = list(members)

    @property
    def members(self) -> list[DeviceFacts]:
        return self._members

    def read(self) -> Reading:
        return Reading()

    def device_facts(self) -> dict[str, Any]:
        """Each node knows those of its devices."""
        return {"identity": {}, "device_class": {}, "state": {}}

    def begin(self, worker_pid: int, *others: int) -> None:
        self._ask("begin")

    def end(self) -> TelemetryWindow:
        found = {name: window for name, window in self._ask("end").items() if window is not None}
        first = next(iter(found.values()), _NOTHING)
        return replace(
            first,
            duration_s=max((each.duration_s for each in found.values()), default=0.0),
            taints=_named({name: each.taints for name, each in found.items()}),
            memory_taints=_named({name: each.memory_taints for name, each in found.items()}),
            notes=_named({name: each.notes for name, each in found.items()}),
        )

    def wait_for_quiet(self, within_s: float) -> float:
        waited = self._ask("wait_for_quiet", within_s=within_s)
        return max(waited.values(), default=0.0)

    def is_disturbed(self, window_s: float) -> bool:
        return any(self._ask("is_disturbed", window_s=window_s).values())

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """By node, of those that are there: the verdict tells of the others."""

        def ask(each: Host) -> Any:
            try:
                return each.ask(method, **arguments)
            except HostLost:
                return None

        with ThreadPoolExecutor(len(self._hosts)) as pool:
            found = zip(self._hosts, pool.map(ask, self._hosts), strict=True)
            return {each.name: value for each, value in found if not each.lost}


_NOTHING = TelemetryWindow(
    before=Reading(),
    after=Reading(),
    duration_s=0.0,
    samples=0,
    max_temperature_c=NOT_READ,
    mean_power_w=NOT_READ,
    energy_j=NOT_READ,
    min_sm_clock_mhz=NOT_READ,
)
"""Where every node is gone."""


def _named(texts: dict[str, list[str]]) -> list[str]:
    return [f"node {name}: {text}" for name, each in texts.items() for text in each]
