"""The fleet, as the HTTP interface and ``tonnage fleet --json`` show it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.fleet.nodes import Drain, NodeState
from app.fleet.service import Fleet, FleetDevice, NodeView

EXAMPLE_DEVICE: JsonDict = {
    "device": "cuda:0",
    "kind": "cuda",
    "name": "NVIDIA H200",
    "total_bytes": 150_754_820_096,
    "fingerprint": "577c5139c3e13263",
    "class_key": "450b72b0901e34b5",
    "job": "st_01hx3v9q5c8e7m2k4n6p8r0t2v",
    "job_kind": "study",
    "workload": "transformer",
}
EXAMPLE_NODE: JsonDict = {
    "id": "52f00ca43dd186e71bdcdae8bde2d495e2e48644a3a6df68bea30f8d",
    "name": "node-7",
    "host": "node-7",
    "address": "10.0.0.7",
    "state": "ready",
    "reason": "",
    "drain": "",
    "labels": {"tonnage/device": "cuda", "tonnage/memory-gib": "141"},
    "versions": {"tonnage": "0.1.0", "python": "3.11.7", "ray": "2.60.0", "torch": "2.13.0"},
    "differs": [],
    "accepts_bundles": False,
    "devices": [EXAMPLE_DEVICE],
    "joined_at": "2026-01-02T03:04:05Z",
    "seen_at": "2026-01-02T03:04:05Z",
}


class FleetDeviceOut(BaseModel):
    """A device of a node."""

    device: str = Field(description="As its host names it: `cuda:0`.")
    kind: str
    name: str
    total_bytes: int
    fingerprint: str = Field(description="Key of its fingerprint.")
    class_key: str = Field(description="The same for devices of this make and size.")
    job: str | None = Field(description="Id of the job that runs on it.")
    job_kind: str | None = Field(description="`study`, `ablation`, `finetuning` or `evaluation`.")
    workload: str | None = Field(description="What the job trains.")

    @classmethod
    def of(cls, found: FleetDevice) -> FleetDeviceOut:
        offer, job = found.offer, found.job
        return cls(
            device=offer.device,
            kind=offer.kind,
            name=offer.name,
            total_bytes=offer.total_bytes,
            fingerprint=offer.fingerprint,
            class_key=offer.class_key,
            job=job.id if job else None,
            job_kind=job.kind if job else None,
            workload=job.trains if job else None,
        )


class FleetNodeOut(BaseModel):
    """A host of the fleet."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_NODE]})

    id: str = Field(description="A host that joins again gets another one.")
    name: str
    host: str
    address: str
    state: NodeState
    reason: str = Field(description="Why it cannot be used; empty where it can.")
    drain: str = Field(description="What was asked for: `finish`, `now`, or empty.")
    labels: dict[str, str]
    versions: dict[str, str]
    differs: list[str] = Field(description="Versions that most nodes have otherwise.")
    accepts_bundles: bool = Field(
        False, description="Whether it runs code that users send (`PUT /v1/bundles/{id}`)."
    )
    devices: list[FleetDeviceOut]
    joined_at: datetime
    seen_at: datetime

    @classmethod
    def of(cls, found: NodeView) -> FleetNodeOut:
        node = found.node
        return cls(
            id=node.id,
            name=node.name,
            host=node.host,
            address=node.address,
            state=node.state,
            reason=node.reason,
            drain=node.drain,
            labels={name: str(value) for name, value in node.labels.items()},
            versions={name: str(value) for name, value in node.versions.items()},
            differs=list(found.differs),
            accepts_bundles=found.accepts_bundles,
            devices=[FleetDeviceOut.of(each) for each in found.devices],
            joined_at=node.joined_at,
            seen_at=node.seen_at,
        )


class FleetDrainIn(BaseModel):
    """What a node is asked for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"drain": "finish"}]})

    drain: Drain = Field(
        description="`finish`: take nothing new. `now`: give back what runs as well, so that "
        "another device of the class goes on. Empty: take work again."
    )


class FleetOut(BaseModel):
    """The hosts that run studies together."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "is_run": True,
                    "seen_at": "2026-01-02T03:04:05Z",
                    "waiting": 3,
                    "advice": "",
                    "nodes": [EXAMPLE_NODE],
                }
            ]
        }
    )

    is_run: bool = Field(description="Whether a process directs the fleet now.")
    seen_at: datetime | None = Field(description="When it last said so.")
    waiting: int = Field(description="Jobs that wait for a device.")
    advice: str = Field(description="What to do; empty where all is well.")
    nodes: list[FleetNodeOut] = Field(description="By name; those that have gone last.")

    @classmethod
    def of(cls, fleet: Fleet) -> FleetOut:
        return cls(
            is_run=fleet.is_run,
            seen_at=fleet.seen_at,
            waiting=fleet.waiting,
            advice=fleet.advice,
            nodes=[FleetNodeOut.of(each) for each in fleet.nodes],
        )
