"""What a runner can run: the workloads registered on its host, on the devices of the host."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.finetunings.request import OFFERED
from app.jobs.records import Job, JobKind
from app.jobs.repository import Runnable


@dataclass(frozen=True)
class DeviceOffer:
    """A device as one interpreter sees it."""

    python: str
    """The interpreter, as configured; empty for the default one."""
    device: str
    kind: str
    name: str
    fingerprint: str
    class_key: str
    total_bytes: int
    lease: str
    """Identifies the device among all hosts, however an interpreter or a container names it."""

    @property
    def answers_to(self) -> set[str]:
        """What a request may call it, in lower case. ``cuda`` is the first one."""
        names = {self.device, self.fingerprint, self.class_key, self.name}
        if self.device.endswith(":0"):
            names.add(self.kind)
        return {name.lower() for name in names}


@dataclass(frozen=True)
class FineTuningOffer:
    """What is registered for fine-tuning, by name."""

    python: str
    """See ``DeviceOffer.python``."""
    models: Sequence[str]
    data: Sequence[str]


@dataclass(frozen=True)
class Offers:
    """Everything a runner can run."""

    workloads: Mapping[str, str]
    """Registered name to the interpreter that runs it (see ``DeviceOffer.python``)."""
    devices: Sequence[DeviceOffer] = field(default_factory=tuple)
    """Best first, for each interpreter."""
    finetuning: FineTuningOffer | None = None
    """``None`` where nothing is registered."""

    @property
    def leases(self) -> set[str]:
        return {offer.lease for offer in self.devices}

    def runnable(self, taken: Collection[str]) -> list[Runnable]:
        """What can be run now, while the devices in ``taken`` are in use."""
        found = []
        runs = self._runs
        for python in sorted(set(runs.values())):
            offers = self._seen_by(python)
            free = [offer for offer in offers if offer.lease not in taken]
            if free:
                found.append(
                    Runnable(
                        workloads=[name for name, p in runs.items() if p == python],
                        devices=set().union(*(offer.answers_to for offer in free)),
                        best_is_free=offers[0] in free,
                        leases={offer.lease for offer in free},
                    )
                )
        return found

    def fit(self, job: Job) -> bool:
        """Whether the job could be run here, were the devices free."""
        return self.has(job) and bool(self.meant(job.workload, job.device))

    def has(self, job: Job) -> bool:
        """Whether everything that the job names is registered here."""
        return job.workload in self._runs and not self.missing_data(job)

    def missing_data(self, job: Job) -> list[str]:
        """Names of the data of a fine-tuning that are not registered here."""
        if job.kind is not JobKind.FINETUNING:
            return []
        known = self.finetuning.data if self.finetuning is not None else ()
        return [name for name in job.finetuning.data if name not in known]

    def meant(self, workload: str, device: str | None) -> list[DeviceOffer]:
        """The devices that a request may mean, best first."""
        offers = self._seen_by(self._runs.get(workload, ""))
        if device is None:
            return offers[:1]
        return [offer for offer in offers if device in offer.answers_to]

    def choose(
        self, workload: str, device: str | None, resume_on: str | None, taken: Collection[str]
    ) -> DeviceOffer | None:
        """The free device for a request: the one it ran on before, else the first it may mean."""
        free = [offer for offer in self.meant(workload, device) if offer.lease not in taken]
        return next((o for o in free if o.lease == resume_on), free[0] if free else None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "workloads": dict(self.workloads),
            "devices": [asdict(offer) for offer in self.devices],
            "finetuning": None if self.finetuning is None else asdict(self.finetuning),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Offers:
        finetuning = data.get("finetuning")
        return cls(
            data["workloads"],
            tuple(DeviceOffer(**each) for each in data["devices"]),
            None if finetuning is None else FineTuningOffer(**finetuning),
        )

    @property
    def _runs(self) -> dict[str, str]:
        """What ``Job.workload`` may be, to the interpreter that runs it."""
        offer = self.finetuning
        models = () if offer is None else offer.models
        return {**self.workloads, **{f"{OFFERED}{name}": offer.python for name in models if offer}}

    def _seen_by(self, python: str) -> list[DeviceOffer]:
        return [offer for offer in self.devices if offer.python == python]
