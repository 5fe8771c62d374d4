"""What a runner can run: the workloads registered on its host, on the devices of the host."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.finetunings.request import OFFERED
from app.jobs.group_lease import joined
from app.jobs.records import Job, JobKind
from app.jobs.repository import Runnable
from app.machine.asked_devices import group_meant, names_group
from app.machine.device_groups import DeviceGroup, groups_of
from app.tuning.request import BUNDLED


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
    links: Mapping[str, str] = field(default_factory=dict)
    """See ``app.machine.device_groups.Linked``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of its node in a fleet."""

    @property
    def answers_to(self) -> set[str]:
        """What a request may call it, in lower case: ``cuda`` is the first one, ``rack=3`` one on a
        node with this label."""
        names = {self.device, self.fingerprint, self.class_key, self.name}
        names |= {f"{label}={value}" for label, value in self.labels.items()}
        if self.device.endswith(":0"):
            names.add(self.kind)
        return {name.lower() for name in names}

    @property
    def leases(self) -> frozenset[str]:
        """Those of all its devices, which are free all or none."""
        return frozenset({self.lease})


@dataclass(frozen=True)
class GroupOffer(DeviceOffer):
    """Several devices as one, for a job that asks for them. ``lease`` is the group's."""

    members: Sequence[str] = ()
    """The leases of its devices."""

    @property
    def leases(self) -> frozenset[str]:
        return frozenset(self.members)


@dataclass(frozen=True)
class FineTuningOffer:
    """What is registered for fine-tuning, by name."""

    python: str
    """See ``DeviceOffer.python``."""
    models: Sequence[str]
    data: Sequence[str]
    tasks: Sequence[str] = ()
    """Beside the built-in ones."""


@dataclass(frozen=True)
class Offers:
    """Everything a runner can run."""

    workloads: Mapping[str, str]
    """Registered name to the interpreter that runs it (see ``DeviceOffer.python``)."""
    devices: Sequence[DeviceOffer] = field(default_factory=tuple)
    """Best first, for each interpreter."""
    finetuning: FineTuningOffer | None = None
    """``None`` where nothing is registered."""
    bundles: str | None = None
    """The interpreter that trains code from bundles (see ``DeviceOffer.python``); ``None`` where
    this host accepts none."""

    @property
    def leases(self) -> set[str]:
        return {offer.lease for offer in self.devices}

    @property
    def groups(self) -> list[DeviceGroup]:
        """Devices that can train together, each group once, however many interpreters see it."""
        seen = [group for python in self._pythons for group in groups_of(self._seen_by(python))]
        return list({group.label: group for group in reversed(seen)}.values())[::-1]

    def runnable(self, taken: Collection[str], groups: Collection[str] = ()) -> list[Runnable]:
        """What can be run now, while the devices in ``taken`` are in use. ``groups`` are the names
        of several devices that jobs wait for."""
        found = []
        runs = self.runs
        for python in sorted(set(runs.values())):
            offers = self._seen_by(python)
            free = [offer for offer in offers if offer.lease not in taken]
            together = {name: self._group(python, name) for name in groups}
            whole = {n: g for n, g in together.items() if g is not None and not g.leases & {*taken}}
            if free:
                found.append(
                    Runnable(
                        workloads=[name for name, p in runs.items() if p == python],
                        devices=set().union(*(offer.answers_to for offer in free), whole),
                        best_is_free=offers[0] in free,
                        leases={offer.lease for offer in (*free, *whole.values())},
                        classes={offer.class_key for offer in free if offer.class_key},
                    )
                )
        return found

    def class_of(self, lease: str | None) -> str | None:
        """The class of the device with this lease; ``None`` for a group of devices."""
        return next((offer.class_key for offer in self.devices if offer.lease == lease), None)

    def fit(self, job: Job) -> bool:
        """Whether the job could be run here, were the devices free."""
        return self.has(job) and bool(self.meant(job.workload, job.device))

    def has(self, job: Job) -> bool:
        """Whether everything that the job names is registered here."""
        return job.workload in self.runs and not self.missing_data(job)

    def missing_data(self, job: Job) -> list[str]:
        """Names of the data of a fine-tuning that are not registered here."""
        if job.kind is not JobKind.FINETUNING:
            return []
        known = self.finetuning.data if self.finetuning is not None else ()
        return [name for name in job.finetuning.data if name not in known]

    def meant(self, workload: str, device: str | None) -> list[DeviceOffer]:
        """The devices that a request may mean, best first."""
        python = self.runs.get(workload, "")
        offers = self._seen_by(python)
        if device is None:
            return offers[:1]
        if names_group(device):
            group = self._group(python, device)
            return [] if group is None else [group]
        return [offer for offer in offers if device in offer.answers_to]

    def choose(
        self, workload: str, device: str | None, resume_on: str | None, taken: Collection[str]
    ) -> DeviceOffer | None:
        """The free device for a request: the one it ran on before, else the first it may mean."""
        free = [each for each in self.meant(workload, device) if not each.leases & {*taken}]
        return next((o for o in free if o.lease == resume_on), free[0] if free else None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "workloads": dict(self.workloads),
            "devices": [asdict(offer) for offer in self.devices],
            "finetuning": None if self.finetuning is None else asdict(self.finetuning),
            "bundles": self.bundles,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Offers:
        finetuning = data.get("finetuning")
        return cls(
            data["workloads"],
            tuple(DeviceOffer(**each) for each in data["devices"]),
            None if finetuning is None else FineTuningOffer(**finetuning),
            data.get("bundles"),
        )

    @property
    def runs(self) -> dict[str, str]:
        """What ``Job.workload`` may be, to the interpreter that runs it."""
        offer = self.finetuning
        models = () if offer is None else offer.models
        trained = {f"{OFFERED}{name}": offer.python for name in models if offer}
        sent = {} if self.bundles is None else {BUNDLED: self.bundles}
        return {**self.workloads, **trained, **sent}

    def _group(self, python: str, name: str) -> GroupOffer | None:
        """The devices of a group as one; ``None`` where they are not all offered."""
        offers = {offer.device: offer for offer in self._seen_by(python)}
        group = group_meant(name, list(offers))
        if group is None:
            return None
        members = [offers[device] for device in group.devices]
        return GroupOffer(
            python=python,
            device=group.label if group.size > 1 else group.devices[0],
            kind=members[0].kind,
            name=f"{group.size} × {members[0].name}",
            fingerprint="",
            class_key="",
            total_bytes=min(each.total_bytes for each in members),
            lease=joined([each.lease for each in members]),
            members=tuple(each.lease for each in members),
        )

    @property
    def _pythons(self) -> list[str]:
        return list(dict.fromkeys(offer.python for offer in self.devices))

    def _seen_by(self, python: str) -> list[DeviceOffer]:
        return [offer for offer in self.devices if offer.python == python]
