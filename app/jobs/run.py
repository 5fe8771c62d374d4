"""Running what a job asks for, reported as its events: a study as ``tonnage tune`` runs it, an
ablation as ``tonnage knowledge measure`` does, a fine-tuning as ``tonnage finetune run`` does, or
its evaluation as ``tonnage finetune evaluate`` does.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeAlias

from app.database import Database
from app.database.models.knowledge import EvidenceRow
from app.errors import NotAccepted
from app.jobs import repository
from app.jobs.events import Report
from app.jobs.queue import LeaseLost
from app.jobs.records import Job
from app.jobs.waiting import HOW_TO_ACCEPT
from app.settings import Settings
from app.tuning import service as studies
from app.tuning.request import StudyRequest
from app.tuning.service import StudyIsRunning
from app.tuning.state import StudyState
from app.workloads import registry
from probes.job import WorkloadRef

if TYPE_CHECKING:
    from app.finetunings.running import StopSignals
    from app.tuning.tune import StudyAnswer
    from finetuning.run import FineTuning

POLL_S = 1.0
"""How often to check whether the other process has ended."""

Ending: TypeAlias = tuple[StudyState, str, dict[str, object]]
"""The state of a job at its end, a message, and the data of its last event."""


def run_study(
    settings: Settings, database: Database, job: Job, device: str, report: Report
) -> StudyAnswer:
    """Search on the device until there is an answer, or resume the study if it was begun before;
    or assist a study, until nothing is left to measure for it.

    Only the first attempt of a ``fresh`` request is fresh: a later one resumes what that began.
    Waits while another process measures on the device or runs the same study. Raises what
    ``tune_study`` raises; every process it started has ended then.
    """
    from app.machine.session import MeasuringSession
    from app.machine.target import open_target
    from app.tuning.tune import tune_study

    request = job.request
    join = _assisted_study(database, job)
    if join:
        report.running(os.getpid())
    settings = _patient(settings, request)
    with contextlib.ExitStack() as used:
        workload, python = used.enter_context(_workload(settings, database, request))
        target = open_target(
            settings, python, device, _memory(settings, request.memory_budget_bytes)
        )
        used.enter_context(target.prober)
        headroom = settings.headroom if request.headroom is None else request.headroom
        bench = MeasuringSession.open(
            settings,
            workload,
            target,
            headroom,
            effective_batch_size=request.effective_batch_size,
        )
        while True:
            try:
                return tune_study(
                    bench,
                    database,
                    request.model_copy(update={"fresh": request.fresh and job.study_id is None}),
                    report.study,
                    report.note,
                    report.waiting,
                    join=join,
                    adopt=job.study_id or "" if job.is_shared else "",
                    new_id=job.id if job.study_id is None else None,
                    opened=lambda study_id, opening: report.opened(study_id, opening, os.getpid()),
                    fence=report.fence,
                )
            except StudyIsRunning as other:
                report.waiting(str(other))
                wait_for_owner(database, other.study_id)


@contextlib.contextmanager
def _workload(
    settings: Settings, database: Database, request: StudyRequest
) -> Iterator[tuple[WorkloadRef, str | None]]:
    """What a study trains, and the interpreter for it: a registered workload, or code from a
    bundle, which stays unpacked as long as the context is open."""
    if request.bundle is None:
        entry = registry.find(settings, request.workload)
        yield entry.asked(request.options), entry.python
        return
    from app.bundles.unpacking import unpacked

    if not settings.bundles.accept:
        raise NotAccepted(f"This host accepts no code that is sent. {HOW_TO_ACCEPT}")
    with unpacked(database, settings.bundles, request.bundle) as folder:
        yield (
            WorkloadRef(
                request.entry,
                request.options,
                request.workload,
                bundle=request.bundle,
                home=str(folder),
            ),
            settings.bundles.python,
        )


def _assisted_study(database: Database, job: Job) -> str:
    """The study that a device assists; empty for a job that has a study of its own. Raises
    ``LeaseLost`` where the study's job has been deleted."""
    if job.assists is None:
        return ""
    with database.read() as session:
        assisted = repository.get(session, job.assists)
    if assisted is None or assisted.study_id is None:
        raise LeaseLost(f"There is no study {job.assists} to assist.")
    return assisted.study_id


def wait_for_owner(database: Database, study_id: str) -> None:
    """Until no process runs the study, as far as this one can see."""
    while True:
        time.sleep(POLL_S)
        if not studies.run_by(studies.get(database, study_id)):
            return


def _memory(settings: Settings, asked_bytes: int | None) -> int | None:
    """The memory that a job may use: as it asks, else as this host is configured."""
    return settings.runner.memory_budget_bytes if asked_bytes is None else asked_bytes


def _patient(settings: Settings, request: StudyRequest) -> Settings:
    if request.accept_disturbed is None:
        return _with_patience(settings)
    return _with_patience(settings, accept_disturbed=request.accept_disturbed)


def _with_patience(settings: Settings, **changes: object) -> Settings:
    """Nobody waits at a terminal for a job: it waits for the device for as long as that takes."""
    changed = settings.probe.model_copy(update={"lease_wait_s": math.inf, **changes})
    return settings.model_copy(update={"probe": changed})


def run_ablation(
    settings: Settings, database: Database, job: Job, device: str, report: Report
) -> Ending:
    """Measure the claims of a job on the device, those first that an earlier attempt left open.

    Raises what ``measure`` raises; every process it started has ended then.
    """
    from app.knowledge.library import find_page, library_of
    from app.knowledge.measuring import ClaimsOnWorkload, Watch, chosen, measure
    from app.machine.target import open_single

    request = job.ablation
    settings = _with_patience(settings)
    report.running(os.getpid())
    claims = chosen(find_page(library_of(settings), request.page).claims, request.claims)
    entry = registry.find(settings, request.workload)
    group = ClaimsOnWorkload(entry.asked(request.options), entry.python, claims, request.pinned)
    budget = _memory(settings, request.memory_budget_bytes)
    target = open_single(settings, entry.python, device, budget, "An ablation")
    watch = Watch(
        step=lambda event: report.tell("step", asdict(event)),
        evidence=lambda row, evidence: report.tell("evidence", _told(row)),
        waiting=report.waiting,
        fence=report.fence,
    )
    with target.prober:
        rows = measure(settings, database, group, target, watch, since=job.created_at)
    told: dict[str, object] = {"evidence": [_told(row) for row in rows]}
    return StudyState.FINISHED, "; ".join(f"{row.claim}: {row.verdict}" for row in rows), told


def _told(row: EvidenceRow) -> dict[str, object]:
    names = ("id", "claim", "verdict", "reason")
    return {name: getattr(row, name) for name in names}


def run_finetuning(
    settings: Settings, database: Database, job: Job, device: str, report: Report
) -> Ending:
    """Fine-tune on the device, or continue from the last checkpoint of an earlier attempt.

    A signal during training saves a checkpoint first; then it has the effect that it had before.
    Raises what ``run_stored`` raises; every process it started has ended then.
    """
    from app.finetunings import reading, registered
    from app.finetunings.running import RunWatch, folder_of_job, measured_text, run_stored, stop_on
    from app.jobs.training_report import TrainingReport
    from app.machine.target import open_single
    from finetuning.run import FineTuning

    request = job.finetuning
    settings = _with_patience(settings)
    report.running(os.getpid())
    begun_in = reading.get(database, job.id).output
    wanted = registered.settings_of(request, registered.model_of(settings, request.model))
    data = registered.data_of(settings, request.data)
    folder = folder_of_job(settings.finetuning_output, job.id, request.name, begun_in)
    python = settings.finetuning.python
    budget = _memory(settings, request.memory_budget_bytes)
    target = open_single(settings, python, device, budget, "A fine-tuning")
    told = TrainingReport(report, already=progress_of(database, job.id))
    watch = RunWatch(
        event=told,
        measured=lambda measurement: told.note(measured_text(measurement)),
        waiting=report.waiting,
        may_store=report.is_ours,
    )
    asked = FineTuning(
        settings=wanted,
        data=data,
        output=folder,
        device=target.facts.device,
        memory_budget_bytes=budget,
        python=target.prober.python,
        may_change=not request.keep_settings,
        keep_rows=str(folder) == begun_in,
    )
    stops: list[StopSignals] = []

    @contextlib.contextmanager
    def stopping(run: FineTuning) -> Iterator[None]:
        with stop_on([signal.SIGINT, signal.SIGTERM], run, lambda text: None) as stop:
            stops.append(stop)
            yield

    with target.prober:
        outcome = run_stored(
            asked,
            settings,
            target,
            database,
            settings.headroom,
            watch,
            stopping,
            finetuning_id=job.id,
        )
    ended: dict[str, object] = {"finetuning_id": job.id, "output": str(folder)}
    if outcome.as_asked:
        return StudyState.FINISHED, "", ended
    for stop in stops:
        stop.pass_on()
    return StudyState.FAILED, outcome.reason, ended


def run_evaluation(
    settings: Settings, database: Database, job: Job, device: str, report: Report
) -> Ending:
    """Evaluate what a fine-tuning trained, or what is left of it after an earlier attempt.

    Raises what ``FineTuning.evaluate`` raises; every process it started has ended then.
    """
    from app.finetunings import reading, registered
    from app.finetunings import service as finetunings
    from app.finetunings.evaluating import store_evaluation
    from app.finetunings.evaluation_request import BASE
    from app.finetunings.tasks import task_of
    from app.jobs.training_report import EvaluationReport
    from app.machine.target import open_single
    from finetuning.run import FineTuning

    request = job.evaluation
    settings = _with_patience(settings)
    report.running(os.getpid())
    tuned = reading.get(database, request.finetuning_id)
    finetunings.changed(database, tuned.id)
    named = [task_of(settings, name, request.options.get(name, {})) for name in request.tasks]
    baseline = request.baseline
    if baseline not in (None, BASE):
        baseline = registered.model_of(settings, str(baseline))
    budget = _memory(settings, None)
    target = open_single(settings, settings.finetuning.python, device, budget, "An evaluation")
    with target.prober, target.lease(settings, report.waiting):
        run = FineTuning.resume(
            tuned.output, device=target.facts.device, python=target.prober.python
        ).with_events(EvaluationReport(report, lambda: finetunings.changed(database, tuned.id)))
        found = run.evaluate(
            [task.place or task.name for task in named],
            options={task.place or task.name: request.options.get(task.name, {}) for task in named},
            names={task.place: task.name for task in named if task.place},
            baseline=baseline,
            limit=request.limit,
        )
    report.check()
    store_evaluation(database, tuned.id, run, found)
    return StudyState.FINISHED, "", {"finetuning_id": tuned.id, "tasks": sorted(found["run"])}


def progress_of(database: Database, job_id: str) -> int:
    """The last optimizer step that earlier attempts of a fine-tuning have told of."""
    with database.read() as session:
        return repository.last_progress(session, job_id)
