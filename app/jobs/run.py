"""A job's study, run: what ``tonnage tune`` does, told to the job instead of to a terminal."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING

from app.database import Database
from app.jobs.records import Job, StudyRequest
from app.jobs.report import Report
from app.settings import Settings
from app.tuning import service as studies
from app.tuning.service import StudyIsRunning
from app.workloads import registry

if TYPE_CHECKING:
    from app.tuning.tune import Answer, Question

POLL_S = 1.0
"""How often it is looked whether another process has ended with the study."""


def run_study(
    settings: Settings, database: Database, job: Job, device: str, report: Report
) -> Answer:
    """Search on the device until there is an answer; a study that was begun before is gone on with.

    Raises what ``tune_study`` raises; every process it started has ended then. While somebody else
    measures on the device, or runs the same study, it waits.
    """
    from app.machine.session import MeasuringSession
    from app.machine.target import open_target
    from app.tuning.tune import tune_study

    request = job.request
    settings = _patient(settings, request)
    entry = registry.find(settings, request.workload)
    target = open_target(settings, entry.python, device, request.memory_budget_bytes)
    with target.prober:
        headroom = settings.headroom if request.headroom is None else request.headroom
        bench = MeasuringSession.open(
            settings,
            entry.asked(request.options),
            target,
            headroom,
            effective_batch_size=request.effective_batch_size,
        )
        while True:
            try:
                return tune_study(
                    bench,
                    database,
                    question(request, fresh=request.fresh and job.study_id is None),
                    report.study,
                    report.note,
                    report.waiting,
                    new_id=job.id if job.study_id is None else None,
                    opened=lambda study_id, opening: report.opened(study_id, opening, os.getpid()),
                )
            except StudyIsRunning as other:
                report.waiting(str(other))
                wait_for_owner(database, other.study_id)


def question(request: StudyRequest, *, fresh: bool) -> Question:
    """The request as the search takes it. ``fresh`` only for the first attempt: one that was
    interrupted goes on with the study that it began."""
    from app.tuning.tune import Question
    from optimizer.budgets import Objective
    from optimizer.proposals import Sampler

    return Question(
        budget=request.budget,
        pinned=request.pinned,
        levers=tuple(request.levers),
        objective=Objective(request.objective) if request.objective is not None else None,
        sampler=request.sampler or Sampler.PREDICTIVE,
        trials=request.trials,
        timeout_s=request.timeout_s,
        cycle_batches=request.cycle_batches,
        time_scale=request.time_scale,
        fresh=fresh,
    )


def wait_for_owner(database: Database, study_id: str) -> None:
    """Until nobody runs the study any more, as far as can be seen from here."""
    while True:
        time.sleep(POLL_S)
        if not studies.run_by(studies.get(database, study_id)):
            return


def _patient(settings: Settings, request: StudyRequest) -> Settings:
    """A job has nobody who waits at a terminal: it takes its turn, however long that is."""
    changes: dict[str, object] = {"lease_wait_s": math.inf}
    if request.accept_disturbed is not None:
        changes["accept_disturbed"] = request.accept_disturbed
    return settings.model_copy(update={"probe": settings.probe.model_copy(update=changes)})
