"""What a person or program does with an evaluation of a fine-tuning: start, watch or cancel it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.database import Database
from app.database.upsert import write_again
from app.errors import Conflict, NotFound, required
from app.finetuning_jobs.names import names_of
from app.finetuning_jobs.service import NOT_OF_SERVICE
from app.finetunings import repository as finetunings
from app.finetunings import service as stored
from app.finetunings.evaluation_request import BASE, EvaluationPost, EvaluationRequest
from app.finetunings.state import FineTuningState
from app.finetunings.tasks import check_options
from app.jobs import asking, repository
from app.jobs.records import Job, JobKind
from app.jobs.waiting import waits_for
from app.settings import Settings
from probes.errors import InputError

MOST_SHOWN = 50
"""The newest evaluations of a fine-tuning that are listed."""


@dataclass(frozen=True)
class EvaluationProgress:
    """The job of an evaluation, and how far it is."""

    job: Job
    waits_for: str
    """What has to happen before it begins; empty when it does not wait."""
    doing: str
    """``language: 12 of 40 items``; empty before it began."""


def submit(
    database: Database,
    settings: Settings,
    finetuning_id: str,
    asked: EvaluationPost,
    *,
    idempotency_key: str | None = None,
) -> Job:
    """Queue an evaluation of a fine-tuning that is done, on the host and device where it ran. While
    the same request is queued or running, its job is the answer.

    Raises ``NotFound``, also for a fine-tuning of the command line; ``Conflict`` for one that is
    not done; ``NotRegistered``, ``NotAllowed`` and ``InputError`` for a task, an option or
    a baseline that a request may not name; ``IdempotencyConflict`` for a key of another request.
    """
    with database.read() as session:
        tuned = repository.get(session, finetuning_id, JobKind.FINETUNING)
        row = finetunings.get(session, finetuning_id)
        if row is None:
            raise NotFound(f"There is no fine-tuning {finetuning_id}.")
        if tuned is None:
            raise NotFound(NOT_OF_SERVICE.format(id=finetuning_id))
        if row.state != FineTuningState.DONE:
            raise Conflict(
                f"Fine-tuning {finetuning_id} is {row.state}. It can be evaluated when it is done."
            )
    _check(database, settings, asked)
    wanted = EvaluationRequest(
        **asked.model_dump(),
        finetuning_id=finetuning_id,
        model=tuned.finetuning.model,
        device=tuned.finetuning.device,
    )

    def work(session: Session) -> Job:
        job = asking.known(session, JobKind.EVALUATION, wanted, idempotency_key)
        if job is None:
            job = asking.add(session, JobKind.EVALUATION, wanted, resume_on=tuned.resume_on)
            stored.touch(session, finetuning_id)
        asking.keep_key(session, idempotency_key, job.id, wanted.key)
        return job

    return write_again(database, work, "The evaluation could not be queued. Try again.")


def listing(database: Database, finetuning_id: str) -> list[EvaluationProgress]:
    """The newest evaluations of a fine-tuning, newest first. Raises ``NotFound``."""
    with database.read() as session:
        required(finetunings.get(session, finetuning_id), f"fine-tuning {finetuning_id}")
        jobs = repository.evaluations_of(session, finetuning_id, MOST_SHOWN)
    return [_progress(database, job) for job in jobs]


def get(database: Database, finetuning_id: str, evaluation_id: str) -> EvaluationProgress:
    """Raises ``NotFound``."""
    with database.read() as session:
        job = _job(session, finetuning_id, evaluation_id)
    return _progress(database, job)


def cancel(database: Database, finetuning_id: str, evaluation_id: str) -> EvaluationProgress:
    """End it. The rows that were made stay on its host: the next evaluation goes on from them.
    Raises ``NotFound``, and ``Conflict`` for one that is over."""
    with database.write() as session:
        _job(session, finetuning_id, evaluation_id)
        job = asking.cancel(session, evaluation_id, JobKind.EVALUATION)
    return _progress(database, job)


def _check(database: Database, settings: Settings, asked: EvaluationPost) -> None:
    names = names_of(database, settings)
    for name in asked.tasks:
        check_options(names.task(name), asked.options.get(name, {}))
    if len(set(asked.tasks)) < len(asked.tasks):
        raise InputError("tasks: a task is named twice.")
    unused = set(asked.options) - set(asked.tasks)
    if unused:
        raise InputError(f"options: {', '.join(sorted(unused))} is not among the tasks.")
    if asked.baseline not in (None, BASE):
        names.model(str(asked.baseline))


def _job(session: Session, finetuning_id: str, evaluation_id: str) -> Job:
    job = repository.get(session, evaluation_id, JobKind.EVALUATION)
    if job is None or job.evaluation.finetuning_id != finetuning_id:
        raise NotFound(f"There is no evaluation {evaluation_id} of {finetuning_id}.")
    return job


def _progress(database: Database, job: Job) -> EvaluationProgress:
    with database.read() as session:
        data = repository.newest_data(session, job.id, ("progress", "waiting"))
    doing = ""
    if data is not None and not job.is_over:
        whose = " of the baseline" if data.get("model") == "baseline" else ""
        counted = f"{data.get('task')}{whose}: {data.get('step')} of {data.get('of')} items"
        doing = str(data["reason"]) if "reason" in data else counted
    return EvaluationProgress(job, waits_for(database, job), doing)
