"""The main job: turn a request into a study, run or resume it, store its recommendation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from app.database import Database
from app.database.fence import Fence, open_to_all
from app.devices import service as devices
from app.knowledge.advice import heuristic_of
from app.machine import parallel
from app.machine.scaling import measure_scaling
from app.machine.session import MeasuringSession
from app.measurements import service as measurements
from app.recommendations import repository as recommendation_repository
from app.recommendations import service as recommendations
from app.tuning import service
from app.tuning.request import StudyRequest
from app.tuning.state import StudyState
from app.tuning.store import SqlStudyStore
from app.workloads import service as workloads
from app.workloads.space import space_rules
from optimizer.budgets import Objective, budget_named
from optimizer.events import Event
from optimizer.known import Known
from optimizer.limits import SearchLimits
from optimizer.proposals import Sampler
from optimizer.records import Recommendation, StudySpec
from optimizer.spaces import planned, space_for
from optimizer.study import Study
from probes import effective_batch, levers
from probes.devices.lease import OnWait
from probes.formatting import duration_text, size_text
from probes.measurement import Config, Measurement
from probes.space import size
from probes.space_text import dimension_text

FAVOURITES = 3
"""Number of configs, recommended before, that are measured first."""

Opened = Callable[[str, service.Opening], None]
"""Called with the id of the study, and whether it is new, resumed or finished."""


@dataclass(frozen=True)
class StudyAnswer:
    """How it ended. Without a recommendation, ``reasons`` say why."""

    study_id: str
    recommendation: Recommendation | None
    reasons: list[str]
    measured: bool
    budget: str = ""

    @property
    def message(self) -> str:
        """The reasons as one text."""
        return as_text(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """The recommendation, or the document that is printed without one."""
        if self.recommendation is not None:
            return self.recommendation.to_dict()
        return {
            "id": None,
            "budget": self.budget,
            "study": {"id": self.study_id},
            "reasons": self.reasons,
        }


def as_text(reasons: Sequence[str]) -> str:
    """The reasons as one text of whole sentences."""
    return " ".join(each if each.endswith((".", "!", "?")) else f"{each}." for each in reasons)


def study_spec(bench: MeasuringSession, request: StudyRequest) -> StudySpec:
    """Budget, space and scope put together. Raises ``InputError`` for what does not exist."""
    budget = budget_named(request.budget, bench.settings.budget_table())
    budget = budget.scaled(request.time_scale)
    if request.trials is not None:
        budget = replace(budget, trials=request.trials)
    if request.cycle_batches is not None:
        budget = replace(budget, cycle_batches=request.cycle_batches)
    if request.objective is not None:
        budget = replace(budget, objective=Objective(request.objective))
    facts = bench.target.facts
    parallel.check(request.pinned, bench.group)
    parallel.check(request.levers, bench.group)
    searched = levers.to_search(tuple(request.levers), facts.kind, facts.precisions)
    space = bench.with_parallel(
        space_for(
            bench.space,
            space_rules(bench.settings, bench.workload.label),
            budget.name,
            bench.target.limit_bytes,
            request.pinned,
            parallel.searched(searched, bench.group),
        )
    )
    effective_batch.check(bench.effective_batch_size, space)
    return StudySpec(
        scope=bench.scope,
        budget=budget,
        space=space,
        dataset_size=bench.dataset_size,
        pinned=request.pinned,
        options=bench.workload.options,
        search={
            "batch_cap": _batch_cap(bench),
            "resolution": bench.settings.probe.resolution,
            "confirm_steps": bench.settings.probe.confirm_steps,
            "sampler": _sampler(request),
        },
        max_parameters=max_parameters(bench, budget.objective),
        time_scale=request.time_scale,
    )


def _sampler(request: StudyRequest) -> str:
    return str(request.sampler or Sampler.PREDICTIVE)


def favourites(database: Database, spec: StudySpec, study_id: str) -> list[Config]:
    """Configs that were recommended for this workload and budget, here or on other devices, before
    the study began: a resumed study has the same ones as before."""
    with database.read() as session:
        stored = recommendation_repository.listing(
            session,
            workload=spec.scope.workload,
            budget=spec.budget.name,
            before=service.get(database, study_id).created_at,
            limit=FAVOURITES,
        )
    return [recommendation.config for recommendation in stored]


def _batch_cap(bench: MeasuringSession) -> int:
    """Largest batch to consider: a micro-batch is no larger than the effective batch."""
    largest = bench.settings.probe.max_batch
    effective = bench.effective_batch_size
    return largest if effective is None else min(largest, effective)


def max_parameters(bench: MeasuringSession, objective: Objective) -> int | None:
    """The configured cap by data set size, where the largest model is looked for."""
    found = bench.settings.workloads.get(bench.workload.label)
    if found is None or objective is not Objective.CAPACITY:
        return None
    samples = bench.dataset_size
    for cap in found.parameter_caps:  # in the order of their sizes
        if cap.max_samples is None or (samples is not None and samples < cap.max_samples):
            return cap.max_parameters
    return None


def tune_study(
    bench: MeasuringSession,
    database: Database,
    request: StudyRequest,
    report: Callable[[Event], None],
    say: Callable[[str], None],
    waiting: OnWait | None = None,
    *,
    join: str = "",
    adopt: str = "",
    new_id: str | None = None,
    opened: Opened = lambda study_id, opening: None,
    fence: Fence = open_to_all,
) -> StudyAnswer:
    """Answer from the store where that is possible; else search, or resume the search, as soon as
    no other process measures on the device.

    ``bench`` is the workload of the request, opened on its device with its options, memory budget,
    headroom and effective batch size. ``join`` is the id of a study that another process runs, to
    work on it too; ``adopt`` is the id of one that a device of the same class has begun, to go on
    with it here. ``new_id`` is the id that a new study gets. ``opened`` is called with the id of
    the study before anything is measured. ``fence`` refuses what is to be stored about the study
    when this process has lost it. An interruption leaves the study ready to be resumed;
    everything that was measured is committed.
    """
    spec = study_spec(bench, request)
    facts = bench.target.facts
    devices.register_target(database, bench.target)
    workloads.register_measured(database, bench)
    if join:
        spec = service.join(database, spec, join, bench.target.fingerprint.class_key)
        say(f"Working on {join} too, with {facts.device}.")
        return _run(bench, database, spec, join, request, report, waiting, fence, joined=True)
    if adopt:
        spec = service.adopted(database, spec, adopt, bench.target.fingerprint.class_key)
    study, opening = service.open_study(
        database, spec, request.fresh, bench.settings.probe.accept_disturbed, new_id, fence
    )
    opened(study.id, opening)
    notes = [f"Note: {note}" for note in bench.notes]
    if opening == "finished":
        stored = recommendations.of_study(database, study.id)
        if stored is not None:
            for line in notes:
                say(line)
            say(f"Answered from the store: measured {stored.valid['created_at']}, still valid.")
            return StudyAnswer(study.id, stored, [], True, spec.budget.name)
    for line in [*describe(spec, bench, resumed=opening == "resumed"), *notes]:
        say(line)
    return _run(bench, database, spec, study.id, request, report, waiting, fence)


def describe(spec: StudySpec, bench: MeasuringSession, *, resumed: bool) -> list[str]:
    """What is about to happen, and everything that was scaled down for it."""
    budget = spec.budget
    verb = "Resuming" if resumed else "Tuning"
    space = "; ".join(f"{name} {dimension_text(each)}" for name, each in spec.space.items())
    lines = [
        f"{verb} {spec.scope.workload} for {budget.name} on {spec.scope.device} "
        f"({bench.target.facts.name}, {size_text(bench.target.limit_bytes)}, "
        f"{spec.scope.headroom:.0%} kept free).",
        f"Configs to measure: {planned(spec.space, budget.trials)} of "
        f"{size(spec.space) or 'infinitely many'}" + (f" ({space})." if space else "."),
    ]
    if (effective := spec.scope.effective_batch_size) is not None:
        lines.append(
            f"Each optimizer step has at least {effective} samples"
            + (" over all ranks" if bench.group is not None else "")
            + ", accumulated from micro-batches."
        )
    if budget.target_s is not None and budget.longest_cycle_s is not None:
        lines.append(
            f"A cycle of {budget.cycle_batches} batches should take "
            f"{duration_text(budget.target_s)}, {duration_text(budget.longest_cycle_s)} at most."
        )
    if spec.time_scale != 1.0:
        lines.append(
            f"SCALED: the budget's times are multiplied by {spec.time_scale:g}; the answer holds "
            "for the scaled window only."
        )
    return lines


def _run(
    bench: MeasuringSession,
    database: Database,
    spec: StudySpec,
    study_id: str,
    request: StudyRequest,
    report: Callable[[Event], None],
    waiting: OnWait | None,
    fence: Fence,
    *,
    joined: bool = False,
) -> StudyAnswer:
    limits = _limits(bench, spec, request)
    known = _known(bench, database, spec, study_id)
    began_s = time.monotonic()

    def spent_s() -> float:
        return time.monotonic() - began_s

    try:
        study = Study(
            spec,
            study_id,
            SqlStudyStore(database, study_id, spec, fence),
            bench.measure,
            known=known,
            sampler=_sampler(request),
            report=service.keeping_incumbent(database, study_id, report, fence),
            limits=limits,
            accept_disturbed=bench.settings.probe.accept_disturbed,
        )
        with bench.target.lease(bench.settings, waiting):
            began_s = time.monotonic()
            if bench.target.network is not None:  # which has been measured only now
                devices.register_target(database, bench.target)
            outcome = study.run()
            recommendation = outcome.recommendation
            if bench.group is not None and recommendation is not None:
                recommendation = _with_scaling(bench, database, recommendation)
    except KeyboardInterrupt:
        service.stop(database, study_id, wall_s=spent_s())
        raise
    except Exception as error:
        service.stop(database, study_id, StudyState.FAILED, str(error), wall_s=spent_s())
        raise
    finally:
        if joined:
            service.leave(database, study_id)
    if not joined or service.inherit(database, study_id):
        service.finish(
            database,
            study_id,
            recommendation,
            wall_s=spent_s(),
            message=as_text(outcome.reasons),
            fence=fence,
        )
    return StudyAnswer(
        study_id, recommendation, outcome.reasons, outcome.measured, spec.budget.name
    )


def _limits(bench: MeasuringSession, spec: StudySpec, request: StudyRequest) -> SearchLimits:
    return SearchLimits(
        spec.search["batch_cap"],
        spec.search["resolution"],
        slowest_sample=bench.slowest_sample,
        timeout_s=request.timeout_s,
        group=bench.group,
    )


def _known(bench: MeasuringSession, database: Database, spec: StudySpec, study_id: str) -> Known:
    """What the search may begin with: results of other devices and budgets, and advice."""
    return Known(
        prior=bench.prior,
        sizes_of=bench.model_sizes,
        elsewhere=partial(measurements.prior_elsewhere, database, spec.scope),
        favourites=favourites(database, spec, study_id),
        heuristic_of=heuristic_of(
            database,
            bench.settings,
            fingerprint=spec.scope.fingerprint,
            workload=spec.scope.workload,
        ),
    )


def _with_scaling(
    bench: MeasuringSession, database: Database, recommendation: Recommendation
) -> Recommendation:
    """What the recommended config gains from several devices, against one of them alone."""

    def keep(alone: MeasuringSession, measurement: Measurement) -> None:
        devices.register_target(database, alone.target)
        measurements.record(database, alone.scope, measurement)

    run = Measurement.from_dict(recommendation.evidence["highest_passing"])
    return replace(recommendation, **measure_scaling(bench, run, keep).to_dict())
