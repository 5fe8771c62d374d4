"""Probes of the workload ``sft`` without a database: what the Python interface fits with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetuning.settings.model import FineTuningSettings
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.max_batch import Ask, MaxBatchSearch, run_search
from probes.max_batch.bounds import Bounds
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement
from probes.prober import Prober
from probes.timeouts import ExpectedStep, Progress

WORKLOAD = "sft"
HEADROOM = 0.05


def workload(settings_file: Path, data: Path, device: str) -> WorkloadRef:
    """The reference by which a worker loads ``sft`` for a run."""
    options = {"settings": str(settings_file), "data": str(data), "device": device}
    return WorkloadRef(WORKLOAD, options)


def config(settings: FineTuningSettings) -> dict[str, Any]:
    """The dimensions of ``sft`` that say which settings are measured."""
    return {
        "strategy": settings.strategy,
        "lora_r": settings.lora.r,
        "max_length": settings.training.max_length,
        "gradient_checkpointing": settings.training.gradient_checkpointing,
        "optimizer": settings.training.optimizer,
    }


def bounds(settings: FineTuningSettings, rows: int) -> Bounds:
    """A micro-batch is at most the effective batch, and at most the data."""
    effective = settings.training.effective_batch_size
    return Bounds(dataset_size=rows, effective_batch_size=min(effective, rows))


@dataclass(frozen=True)
class LocalMeasurer:
    """Measures in fresh processes on this machine, and keeps nothing."""

    prober: Prober
    workload: WorkloadRef
    device: str
    rows: int
    limit_bytes: int | None = None
    headroom: float = HEADROOM
    on_progress: Progress | None = None
    on_measurement: Callable[[Measurement], None] = lambda measurement: None

    def find(self, settings: FineTuningSettings) -> MaxBatch:
        limits = bounds(settings, self.rows)
        job = self._job(settings, 1, BRACKET_PLAN)
        search = MaxBatchSearch(limits, prior=self.prober.estimate(job, limits.ceiling))

        def measure(ask: Ask) -> Measurement:
            plan = BRACKET_PLAN if ask.purpose is BRACKET_PLAN.purpose else CONFIRM_PLAN
            return self._probe(settings, ask.batch_size, plan, ask.expected_step)

        return run_search(search, measure)

    def confirm(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        return self._probe(settings, micro_batch, CONFIRM_PLAN)

    def brief(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        return self._probe(settings, micro_batch, BRACKET_PLAN)

    def _probe(
        self,
        settings: FineTuningSettings,
        micro_batch: int,
        plan: StepPlan,
        expected: ExpectedStep | None = None,
    ) -> Measurement:
        job = replace(self._job(settings, micro_batch, plan), expected_step=expected)
        measurement = self.prober.probe(job, None, self.on_progress)
        self.on_measurement(measurement)
        return measurement

    def _job(self, settings: FineTuningSettings, micro_batch: int, plan: StepPlan) -> ProbeJob:
        return ProbeJob(
            workload=self.workload,
            config=config(settings),
            batch_size=micro_batch,
            device=self.device,
            plan=plan,
            limit_bytes=self.limit_bytes,
            headroom=self.headroom,
            effective_batch_size=min(settings.training.effective_batch_size, self.rows),
        )
