"""The bench of an ablation: real probes of one workload on one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from app.machine.session import MeasuringSession
from app.machine.target import Target
from app.settings import Settings
from optimizer.ablation import Arm, Place
from optimizer.records import short_hash
from probes.job import StepPlan, WorkloadRef
from probes.max_batch.bounds import Bounds
from probes.measurement import Measurement
from probes.prior import Prior
from probes.space import Space
from probes.timeouts import Progress


@dataclass
class SessionBench:
    """See ``optimizer.ablation.Bench``. Both sides of a comparison may set options of the workload,
    so there is a measuring session for each set of options."""

    settings: Settings
    workload: WorkloadRef
    target: Target
    on_progress: Progress | None = None
    _sessions: dict[str, MeasuringSession] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        facts = self.target.facts
        torch = str(self.target.interpreter.get("torch", ""))
        fingerprint = self.target.fingerprint.key
        return Place(facts.device, facts.kind, fingerprint, version("tonnage"), torch)

    @property
    def space(self) -> Space:
        return self._session({}).space

    @property
    def bounds(self) -> Bounds:
        session, probe = self._session({}), self.settings.probe
        return Bounds(
            cap=probe.max_batch,
            dataset_size=session.dataset_size,
            resolution=probe.resolution,
            slowest_sample=session.slowest_sample,
        )

    def probe(self, arm: Arm, batch_size: int, plan: StepPlan) -> Measurement:
        session = self._session(arm.options)
        return session.probe(session.config(arm.config), batch_size, plan)

    def prior(self, arm: Arm, ceiling: int) -> Prior:
        session = self._session(arm.options)
        return session.prior(session.config(arm.config), ceiling)

    def call(self, function: str, arm: Arm, arguments: Mapping[str, Any]) -> dict[str, Any]:
        session = self._session(arm.options)
        workload = session.workload
        return self.target.prober.call(
            function,
            {
                **arguments,
                "workload": {"spec": workload.spec, "options": dict(workload.options)},
                "config": session.config(arm.config),
                "device": self.target.facts.device,
                "limit_bytes": self.target.memory_budget_bytes,
                "headroom": session.headroom,
            },
            self.on_progress,
        )

    def _session(self, options: Mapping[str, Any]) -> MeasuringSession:
        key = short_hash(dict(options))
        if key not in self._sessions:
            chosen = replace(self.workload, options={**self.workload.options, **options})
            self._sessions[key] = MeasuringSession.open(
                self.settings, chosen, self.target, self.settings.headroom, self.on_progress
            )
        return self._sessions[key]
