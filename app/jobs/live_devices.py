"""The devices that can be used now: those of this machine, with their sensors, and those that
runners offer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from app.database import Database
from app.http.runtime import Service
from app.jobs import repository as jobs
from app.jobs import runner_repository
from app.jobs.offers import DeviceOffer
from app.jobs.records import Job, JobKind
from app.jobs.runner_repository import RunnerRecord
from app.machine.device_groups import DeviceGroup
from app.tuning.owner import this_place
from probes.devices import host
from probes.devices.base import DeviceFacts
from probes.devices.lease import holder_of
from probes.devices.machine import SHORTEST_CPU_WINDOW_S, CpuUse, Machine
from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Maybe, Missing

HERE = "this machine"


@dataclass(frozen=True)
class LiveDevice:
    """A device at this moment."""

    device: str
    """As the command line names it: ``cpu``, ``cuda:0``."""
    kind: str
    name: str
    where: str
    """The host, in words."""
    fingerprint: str = ""
    """Its key, where a runner has told it."""
    total_bytes: int | None = None
    used_bytes: int | None = None
    utilisation_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    unread: str = ""
    """Why its sensors are not read."""
    lease: str = ""
    """The process that measures on it; empty without one."""
    study_id: str = ""
    """The study that runs on it."""
    ablation_id: str = ""
    """The ablation that runs on it."""
    finetuning_id: str = ""
    """The fine-tuning that trains or is evaluated on it."""
    seen_at: datetime | None = None
    """The last sign of life of the runner that offers it, by the runner's own clock."""


class LiveDevices:
    """Looks at the sensors when asked; the load of the CPU is that since it was last asked."""

    def __init__(self, lease_dir: Path | None, nvml: Any = None) -> None:
        self._lease_dir = lease_dir
        self._nvml = nvml
        self._machine = Machine()
        self._before: CpuUse | None = None

    @classmethod
    def of(cls, service: Service) -> LiveDevices:
        """Those of a running service."""
        return service.part(cls, lambda: cls(service.settings.probe.lease_dir))

    @staticmethod
    def groups(database: Database) -> list[tuple[str, DeviceGroup]]:
        """The host and the devices that can train together, as runners offer them."""
        with database.read() as session:
            runners = runner_repository.listing(session)
        return [
            (HERE if runner.place == this_place() else f"host {runner.owner.host}", group)
            for runner in runners
            for group in runner.offers.groups
        ]

    def look(self, database: Database) -> list[LiveDevice]:
        """Accelerators of this machine, its CPU, then what runners elsewhere offer."""
        with database.read() as session:
            runners = runner_repository.listing(session)
            leases = {offer.lease for runner in runners for offer in runner.offers.devices}
            held = jobs.by_lease(session, leases)
            known = jobs.by_ids(session, set(held.values()))
            running = {lease: known[job_id] for lease, job_id in held.items() if job_id in known}
        local = {each.device: each for each in [*self._accelerators(), self._cpu()]}
        others = []
        for runner, offer in ((r, offer) for r in runners for offer in r.offers.devices):
            ids, device = _ids(running.get(offer.lease)), local.get(offer.device)
            if runner.place != this_place() or device is None:
                others.append(_elsewhere(runner, offer, ids))
                continue
            local[offer.device] = replace(
                device,
                name=device.name or offer.name,
                fingerprint=offer.fingerprint,
                **ids,
            )
        return [*local.values(), *others]

    def _cpu(self) -> LiveDevice:
        total = host.memory_total_bytes()
        free = host.memory_free_bytes()
        return LiveDevice(
            "cpu",
            "cpu",
            host.cpu_model(),
            HERE,
            total_bytes=total,
            used_bytes=None if free is None else max(total - free, 0),
            utilisation_percent=self._cpu_percent(),
            temperature_c=_known(self._machine.cpu_temperature_c()),
            lease=self._holder(DeviceFacts("cpu", "cpu", "", 0, None)),
        )

    def _accelerators(self) -> list[LiveDevice]:
        found = []
        devices = NvmlDevice.all(self._nvml)
        for number, device in enumerate([] if isinstance(devices, Missing) else devices):
            reading = device.read()
            identity = {"uuid": device.uuid_hash}
            name = f"cuda:{number}"
            found.append(
                LiveDevice(
                    name,
                    "cuda",
                    device.name,
                    HERE,
                    total_bytes=_known(device.total_bytes),
                    used_bytes=_known(reading["memory_used_bytes"]),
                    utilisation_percent=_known(reading["utilisation_percent"]),
                    temperature_c=_known(reading["temperature_c"]),
                    power_w=_known(reading["power_w"]),
                    lease=self._holder(DeviceFacts(name, "cuda", "", 0, None, identity)),
                )
            )
        return found

    def _cpu_percent(self) -> float | None:
        """Load of all cores since the last look; at first, that of the last minute."""
        now = self._machine.cpu_use([])
        before = self._before
        if isinstance(now, Missing):
            return None
        if before is None or now.at_s - before.at_s < SHORTEST_CPU_WINDOW_S:
            self._before = before or now
            load: float | None = _known(self._machine.read()["cpu_load_percent"])
            return None if load is None else min(load, 100.0)
        self._before = now
        busy_cores = (now.all_s - before.all_s) / (now.at_s - before.at_s)
        return min(100.0 * busy_cores / self._machine.cores, 100.0)

    def _holder(self, facts: DeviceFacts) -> str:
        holder = holder_of(facts, self._lease_dir)
        return "" if holder is None else str(holder)


def _ids(job: Job | None) -> dict[str, Any]:
    """The field of ``LiveDevice`` that a running job belongs into."""
    if job is None:
        return {}
    if job.kind is JobKind.EVALUATION:
        return {"finetuning_id": job.evaluation.finetuning_id}
    return {f"{job.kind}_id": job.id}


def _elsewhere(runner: RunnerRecord, offer: DeviceOffer, ids: dict[str, Any]) -> LiveDevice:
    is_here = runner.place == this_place()
    return LiveDevice(
        offer.device,
        offer.kind,
        offer.name,
        HERE if is_here else f"host {runner.owner.host}",
        fingerprint=offer.fingerprint,
        total_bytes=offer.total_bytes,
        unread=(
            "nothing reads the sensors of this kind of device"
            if is_here
            else "sensors are read on the machine that serves this page only"
        ),
        lease=" ".join(f"{name.removesuffix('_id')} {job_id}" for name, job_id in ids.items()),
        seen_at=runner.heartbeat_at,
        **ids,
    )


def _known(value: Maybe[Any]) -> Any:
    return None if isinstance(value, Missing) else value
