"""A workload on a device: runs the probes that a study or a command asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.machine import parallel
from app.machine.local_facts import remember_workload
from app.machine.target import Target
from app.settings import Settings
from optimizer.records import Scope
from probes import levers
from probes.black_box.command import is_command
from probes.doubt import doubts, is_better
from probes.group import Group
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.max_batch import Ask
from probes.max_batch.bounds import Bounds
from probes.measurement import Config, Measurement, Purpose
from probes.model_size import ModelSize
from probes.prior import Prior
from probes.space import Space, dimension_from_dict, smallest
from probes.timeouts import Progress

QUIET_WAIT_S = 10.0
"""Total time that the repeats of a disturbed measurement wait for the machine to be idle."""

ROUGH_HALF_WIDTH = 0.03
ROUGH_BUDGET_S = 5.0
"""Precision of the step time where it is not part of the answer."""
EVALUATION_BUDGETS = 6
"""A confirmation of a command gets this multiple of the time for measuring, if it takes that long
until the command evaluates or an epoch ends."""


@dataclass(frozen=True)
class MeasuringSession:
    """Everything that the probes of a workload on a target have in common."""

    settings: Settings
    workload: WorkloadRef
    target: Target
    headroom: float
    description: Mapping[str, Any]
    """What the worker said of the workload (see ``probes.workloads.loading.describe``)."""
    on_progress: Progress | None = None
    effective_batch_size: int | None = None
    """Target samples per optimizer step; batch sizes are then those of micro-batches and
    accumulation is derived. ``None``: no accumulation."""
    rests_on_time: bool = True
    """Whether step times are part of the answer, or only memory and a time edge are: a disturbed
    time that nobody asked for is not measured again."""

    @classmethod
    def open(
        cls,
        settings: Settings,
        workload: WorkloadRef,
        target: Target,
        headroom: float,
        on_progress: Progress | None = None,
        *,
        effective_batch_size: int | None = None,
        rests_on_time: bool = True,
    ) -> MeasuringSession:
        """Load the workload once, in a worker, to learn its space. Raises ``InputError``."""
        description = target.prober.describe(workload)
        remember_workload(workload, target.asked_python, description)
        return cls(
            settings,
            workload,
            target,
            headroom,
            description,
            on_progress,
            effective_batch_size,
            rests_on_time,
        )

    @property
    def space(self) -> Space:
        space = {n: dimension_from_dict(d) for n, d in self.description["space"].items()}
        return parallel.for_group(space, self.group)

    @property
    def notes(self) -> list[str]:
        """What is to be said of the workload before it is measured."""
        return list(self.description.get("notes", []))

    @property
    def group(self) -> Group | None:
        """The devices that train as one; ``None`` for a single device."""
        return self.target.group

    @property
    def dataset_size(self) -> int | None:
        size: int | None = self.description["dataset_size"]
        return size

    @property
    def scope(self) -> Scope:
        source_hash = self.description["source_hash"]
        scope = self.target.scope(self.workload, source_hash, self.headroom)
        return replace(scope, effective_batch_size=self.effective_batch_size)

    def config(self, pinned: Mapping[str, Any]) -> Config:
        """One config: the pinned values, and the smallest value of every other dimension. That of a
        group says how its ranks train together.

        Raises ``InputError`` for a name the workload does not have.
        """
        parallel.check(pinned, self.group)
        return smallest(self.with_parallel(levers.pinned(self.space, pinned)))

    def with_parallel(self, space: Space) -> Space:
        """See ``parallel.with_parallel``."""
        return parallel.with_parallel(space, self.group, is_command(self.workload))

    def bounds(
        self, config: Config, *, cap: int | None = None, longest_step_s: float | None = None
    ) -> Bounds:
        """What limits the batch of a config besides memory; of a group, that of one rank."""
        settings = self.settings.probe
        bounds = Bounds(
            cap=cap or settings.max_batch,
            dataset_size=self.dataset_size,
            longest_step_s=longest_step_s,
            resolution=settings.resolution,
            slowest_sample=self.slowest_sample,
            effective_batch_size=self.effective_batch_size,
        )
        return bounds if self.group is None else bounds.shared_by(self.group.data_parallel(config))

    @property
    def slowest_sample(self) -> float | None:
        """See ``Bounds.slowest_sample``. On the CPU what spills is seen by the kernel, and caches
        alone may slow a larger batch down."""
        return None if self.target.facts.kind == "cpu" else self.settings.probe.slowest_sample

    def plan(self, purpose: Purpose) -> StepPlan:
        """How long such a probe runs, as configured."""
        if purpose is Purpose.BRACKET:
            return BRACKET_PLAN
        probe = self.settings.probe
        plan = replace(
            CONFIRM_PLAN,
            measure_steps=probe.confirm_steps,
            max_measure_steps=max(probe.confirm_steps, CONFIRM_PLAN.max_measure_steps),
            measure_budget_s=probe.measure_budget_s,
            evaluation_s=EVALUATION_BUDGETS * probe.measure_budget_s,
        )
        if self.rests_on_time:
            return plan
        # What memory needs is run in any case; only for the time's sake there is no more.
        return replace(
            plan,
            half_width=ROUGH_HALF_WIDTH,
            least_measure_s=0.0,
            measure_budget_s=min(plan.measure_budget_s, ROUGH_BUDGET_S),
        )

    def measure(self, config: Config, ask: Ask) -> Measurement:
        """Run one probe in a fresh process.

        One that was disturbed so that its outcome is in doubt is repeated, as often as configured
        and after a moment of quiet; what is kept is clean, or the best of the disturbed.
        """
        job = self._job(config, ask.batch_size, self.plan(ask.purpose))
        job = replace(job, expected_step=ask.expected_step)
        measurement = self._probe(job)
        quiet_s = QUIET_WAIT_S
        repeats = self.settings.probe.repeats_when_disturbed
        for run in range(2, repeats + 2):
            doubts = self._doubts(measurement, ask)
            if not doubts:
                break
            self._say(
                "disturbed, waiting for quiet",
                note=f"The measurement of batch {ask.batch_size} was disturbed "
                f"({'; '.join(doubts)}). {_pause_text(quiet_s)}: {run} of at most {repeats + 1}.",
            )
            quiet_s -= self.target.telemetry.wait_for_quiet(quiet_s)
            again = self._probe(job)
            if not self._doubts(again, ask) or is_better(again, measurement):
                measurement = again
        return measurement

    def probe(
        self,
        config: Config,
        batch_size: int,
        plan: StepPlan,
        *,
        batch_sizes: tuple[int, ...] | None = None,
    ) -> Measurement:
        """Run one probe in a fresh process, as planned. A disturbed one is not repeated.

        ``batch_sizes`` are those of the ranks of a group, where they differ.
        """
        job = self._job(config, batch_size, plan)
        if batch_sizes is not None and job.group is not None:
            job = replace(job, group=replace(job.group, batch_sizes=batch_sizes))
        return self._probe(job)

    def prior(self, config: Config, ceiling: int) -> Prior:
        """Memory against the batch as far as it can be known without running a step."""
        self._say("estimating memory")
        return self.target.prober.estimate(self._job(config, 1, BRACKET_PLAN), ceiling)

    def model_sizes(self, configs: Sequence[Config]) -> list[ModelSize]:
        """Parameters and capacity of each config, without training any."""
        self._say("looking at model sizes")
        return self.target.prober.model_sizes(self.workload, configs)

    def of_one_rank(self, run: Measurement) -> MeasuringSession:
        """The session of the first rank alone, with the samples per optimizer step that it had in
        ``run`` of the group."""
        micro_batches = run.accumulation if self.effective_batch_size is not None else None
        return replace(
            self,
            target=self.target.of_one_rank(),
            effective_batch_size=micro_batches and run.batch_size * micro_batches,
        )

    def _job(self, config: Config, batch_size: int, plan: StepPlan) -> ProbeJob:
        return ProbeJob(
            workload=self.workload,
            config=config,
            batch_size=batch_size,
            device=self.target.facts.device,
            plan=plan,
            limit_bytes=self.target.memory_budget_bytes,
            headroom=self.headroom,
            effective_batch_size=self.effective_batch_size,
            group=self.group,
        )

    def _doubts(self, measurement: Measurement, ask: Ask) -> list[str]:
        confirms = ask.purpose is Purpose.CONFIRM
        return doubts(measurement, ask.longest_step_s, time_matters=confirms and self.rests_on_time)

    def _say(self, phase: str, **more: str) -> None:
        if self.on_progress is not None:
            self.on_progress({"phase": phase, **more})

    def _probe(self, job: ProbeJob) -> Measurement:
        measured = self.target.prober.probe(job, self.target.telemetry, self.on_progress)
        return self.target.checked(measured)


def _pause_text(quiet_s: float) -> str:
    if quiet_s < 1:
        return "Measuring it again"
    return f"Measuring it again after at most {quiet_s:.0f} s of waiting for a quiet machine"
