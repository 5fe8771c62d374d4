"""The bench of an ablation without a database: torch, numpy and psutil are all it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from optimizer.ablation import Arm, Place
from probes import levers
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.job import BRACKET_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.max_batch.bounds import Bounds
from probes.measurement import Measurement
from probes.prior import Prior
from probes.prober import Prober
from probes.space import Space, dimension_from_dict, smallest

HEADROOM = 0.05
QUIET_S = 2.0
"""How long to wait for a quiet machine after a probe that was disturbed."""


@dataclass(frozen=True)
class Here:
    """A device, and what measures on it."""

    prober: Prober
    facts: DeviceFacts
    telemetry: Telemetry
    fingerprint: str
    budget_bytes: int
    """Memory within which everything runs."""

    @classmethod
    def of(cls, prober: Prober, facts: DeviceFacts, budget_bytes: int) -> Here:
        telemetry = Telemetry(facts)
        return cls(prober, facts, telemetry, build_fingerprint(facts, telemetry).key, budget_bytes)


@dataclass
class ProberBench:
    """See ``optimizer.ablation.Bench``."""

    here: Here
    workload: WorkloadRef
    described: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the worker said of the workload, by its options."""

    @property
    def place(self) -> Place:
        facts = self.here.facts
        try:
            tonnage = version("tonnage")
        except PackageNotFoundError:
            tonnage = "a checkout"
        torch = str(facts.identity.get("torch", ""))
        return Place(facts.device, facts.kind, self.here.fingerprint, tonnage, torch)

    @property
    def space(self) -> Space:
        return self._space(self.workload)

    @property
    def bounds(self) -> Bounds:
        return Bounds(dataset_size=self._describe(self.workload)["dataset_size"])

    def probe(self, arm: Arm, batch_size: int, plan: StepPlan) -> Measurement:
        job = self._job(arm, batch_size, plan)
        measurement = self.here.prober.probe(job, self.here.telemetry)
        if measurement.tainted:
            self.here.telemetry.wait_for_quiet(QUIET_S)
        return measurement

    def prior(self, arm: Arm, ceiling: int) -> Prior:
        return self.here.prober.estimate(self._job(arm, 1, BRACKET_PLAN), ceiling)

    def call(self, function: str, arm: Arm, arguments: Mapping[str, Any]) -> dict[str, Any]:
        job = self._job(arm, 1, BRACKET_PLAN)
        asked = {
            "workload": {"spec": job.workload.spec, "options": dict(job.workload.options)},
            "config": job.config,
            "device": job.device,
            **arguments,
        }
        return self.here.prober.call(function, asked)

    def _job(self, arm: Arm, batch_size: int, plan: StepPlan) -> ProbeJob:
        workload = WorkloadRef(self.workload.spec, {**self.workload.options, **arm.options})
        return ProbeJob(
            workload=workload,
            config=smallest(levers.pinned(self._space(workload), arm.config)),
            batch_size=batch_size,
            device=self.here.facts.device,
            plan=plan,
            limit_bytes=self.here.budget_bytes,
            headroom=HEADROOM,
        )

    def _space(self, workload: WorkloadRef) -> Space:
        described = self._describe(workload)
        return {name: dimension_from_dict(d) for name, d in described["space"].items()}

    def _describe(self, workload: WorkloadRef) -> dict[str, Any]:
        key = json.dumps(workload.options, sort_keys=True, default=str)
        if key not in self.described:
            self.described[key] = self.here.prober.describe(workload)
        return self.described[key]
