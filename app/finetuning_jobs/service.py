"""What a person or program does with a fine-tuning of the service: start, watch, cancel, resume,
delete. Evaluating it is in ``evaluations``."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.database import Database
from app.errors import Conflict, NotFound, NotRegistered
from app.finetunings import reading, registered
from app.finetunings import repository as finetunings
from app.finetunings import service as stored
from app.finetunings.request import FineTuningPost
from app.finetunings.state import FineTuningState
from app.jobs import asking, deaths, repository, runner_repository
from app.jobs.offers import FineTuningOffer
from app.jobs.records import Job, JobKind
from app.jobs.waiting import waits_for
from app.settings import Settings

MOST_EVENTS = 10_000
NOT_OF_SERVICE = (
    "There is no fine-tuning {id} that was started through the service. One of the command line is "
    "resumed and evaluated on its host: tonnage finetune resume|evaluate FOLDER"
)
SAID = {"note": "text", "waiting": "reason", "phase": "phase"}
"""Kinds of events that say what is being done, and where they say it."""


@dataclass(frozen=True)
class FineTuningProgress:
    """The job of a fine-tuning, and what has happened to it."""

    job: Job
    waits_for: str
    """What has to happen before it begins; empty when it does not wait."""
    doing: str
    """What it did last, in words; empty before it began."""


def submit(
    database: Database,
    settings: Settings,
    asked: FineTuningPost,
    *,
    idempotency_key: str | None = None,
) -> Job:
    """Queue a fine-tuning. While the same request is queued or running, its job is the answer.

    Raises ``NotRegistered`` for anything but the names of a registered model and registered data,
    ``NotAllowed`` for settings that a request may not set, ``InputError`` for those that make no
    sense, and ``IdempotencyConflict`` when the key was given with another request.
    """
    with database.read() as session:
        offers = [runner.offers.finetuning for runner in runner_repository.listing(session)]
    model = _model(settings, asked, [offer for offer in offers if offer is not None])
    wanted = registered.settings_of(asked, model).to_plain()

    def also(session: Session, job_id: str) -> None:
        stored.add_queued(session, job_id, model=asked.model, device=asked.device, settings=wanted)

    return asking.submit(database, JobKind.FINETUNING, asked, idempotency_key, also)


def get(database: Database, finetuning_id: str) -> FineTuningProgress:
    """Raises ``NotFound``, also for a fine-tuning that was started on the command line."""
    with database.read() as session:
        job = _job(session, finetuning_id)
        events = repository.events(session, job.id, 0, MOST_EVENTS)
    said = [event.data.get(SAID[event.kind], "") for event in events if event.kind in SAID]
    return FineTuningProgress(job, waits_for(database, job), str(said[-1]) if said else "")


def is_going_on(database: Database, finetuning_id: str) -> bool:
    """Whether something may still happen to it by itself: it waits, runs, or was interrupted and
    will be resumed, or an evaluation of it waits or runs. Raises ``NotFound``."""
    state = FineTuningState(reading.get(database, finetuning_id).state)
    with database.read() as session:
        jobs = [_find(session, finetuning_id)]
        jobs += repository.evaluations_of(session, finetuning_id, None)
    return not state.is_terminal or any(job is not None and not job.is_over for job in jobs)


def resume(database: Database, finetuning_id: str) -> Job:
    """Queue one that was stopped, was interrupted too often or has failed: it continues from its
    last checkpoint, on the device where it ran. One that waits or runs is left alone.

    Raises ``NotFound``, also for a fine-tuning of the command line; and ``Conflict`` for one that
    is done, is just being stopped, or is run by somebody else.
    """
    stored.mark_interrupted(database)
    with database.write() as session:
        job = _job(session, finetuning_id)
        row = finetunings.locked(session, finetuning_id)
        if row is None:
            raise NotFound(f"There is no fine-tuning {finetuning_id}.")
        if row.state == FineTuningState.DONE:
            raise Conflict(f"Fine-tuning {finetuning_id} is done already.")
        if job.is_over and not FineTuningState(row.state).is_terminal:
            raise Conflict(f"Fine-tuning {finetuning_id} is {row.state} already, in a terminal.")
        return asking.resume(session, finetuning_id, JobKind.FINETUNING, job.finetuning.key)


def cancel(database: Database, finetuning_id: str) -> Job:
    """Stop it. A running one ends after its step, with a checkpoint, from which ``resume``
    continues. Raises ``NotFound``, and ``Conflict`` for one that is over."""
    with database.write() as session:
        _job(session, finetuning_id)
        return asking.cancel(session, finetuning_id, JobKind.FINETUNING)


def delete(database: Database, finetuning_id: str) -> None:
    """Delete what is stored of a fine-tuning, and its jobs. Its folder stays.

    Raises ``NotFound``, and ``Conflict`` while it or an evaluation of it waits or runs.
    """
    stored.mark_interrupted(database)
    with database.write() as session:
        deaths.bury_dead_here(session)
        row, job = finetunings.locked(session, finetuning_id), _find(session, finetuning_id)
        if row is None:
            raise NotFound(f"There is no fine-tuning {finetuning_id}.")
        evaluations = repository.evaluations_of(session, finetuning_id, None)
        for each in evaluations:
            if not each.is_over:
                raise Conflict(f"Evaluation {each.id} of it is {each.state}. Cancel it first.")
        is_active = job is not None and not job.is_over
        if is_active or not FineTuningState(row.state).is_terminal:
            raise Conflict(f"Fine-tuning {finetuning_id} is {row.state}. Stop it first.")
        finetunings.remove(session, finetuning_id)
        repository.remove(session, [each.id for each in [job, *evaluations] if each is not None])


def _model(settings: Settings, asked: FineTuningPost, offers: list[FineTuningOffer]) -> str:
    """The registered model's place on this host. One that is registered on a runner's host only is
    called by its name until the job begins there."""
    try:
        registered.data_of(settings, asked.data)
        return registered.model_of(settings, asked.model)
    except NotRegistered:
        if any(asked.model in o.models and set(asked.data) <= set(o.data) for o in offers):
            return asked.model
        raise


def _job(session: Session, finetuning_id: str) -> Job:
    job = _find(session, finetuning_id)
    if job is None:
        raise NotFound(NOT_OF_SERVICE.format(id=finetuning_id))
    return job


def _find(session: Session, finetuning_id: str) -> Job | None:
    return repository.get(session, finetuning_id, JobKind.FINETUNING)
