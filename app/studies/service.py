"""What a person or program does with a study of the service: start, cancel or delete it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from app.bundles import archive
from app.bundles import service as bundles
from app.database import Database
from app.errors import Conflict, NotAccepted, NotFound
from app.jobs import asking, deaths, repository, runner_repository
from app.jobs.records import Job, JobKind
from app.jobs.waiting import HOW_TO_ACCEPT, NOBODY_ACCEPTS
from app.machine import parallel
from app.machine.asked_devices import names_group
from app.settings import Settings, load_settings
from app.settings.fields import NAME
from app.tuning import repository as study_repository
from app.tuning import service as studies
from app.tuning.request import StudyRequest
from app.tuning.state import ACTIVE
from app.workloads import registry
from optimizer.budgets import budget_named
from probes import effective_batch
from probes.errors import InputError
from probes.levers import LEVERS
from probes.space import unknown_name


def submit(
    database: Database,
    request: StudyRequest,
    *,
    idempotency_key: str | None = None,
    settings: Settings | None = None,
) -> Job:
    """Queue a study. While the same request is queued or running, its job is the answer.

    An ``idempotency_key`` stands for the first job it was given with, for as long as that is kept.
    ``settings`` say what is registered (default: those in force).

    Raises ``NotRegistered`` for anything but the name of a registered workload or code from a
    bundle, ``NotAccepted`` for that where no host accepts it, ``NotFound`` for a bundle that is not
    stored, ``InputError`` for a request that makes no sense, and ``IdempotencyConflict`` when the
    key was given with another. Whether the caller may send code is for the caller to know.
    """
    with database.read() as session:
        known = asking.known(session, JobKind.STUDY, request, idempotency_key)
        runners = runner_repository.listing(session)
    if known is None:
        offered = {name for runner in runners for name in runner.offers.workloads}
        accepted = any(runner.offers.bundles is not None for runner in runners)
        check(settings or load_settings(), request, offered, accepted=accepted)
        if request.bundle is not None:
            with database.write() as session:
                bundles.require(session, request.bundle)
    return asking.submit(database, JobKind.STUDY, request, idempotency_key)


def check(
    settings: Settings,
    request: StudyRequest,
    offered: Collection[str] = (),
    *,
    accepted: bool = False,
) -> None:
    """Everything that can be checked without a device. Raises ``NotRegistered`` or ``InputError``
    for a request that no runner could run.

    ``offered`` are the workloads of the known runners. The options of a workload that one of them
    has registered and this host has not are checked by that runner. ``accepted``: whether one of
    them accepts bundles.
    """
    known = registry.registered(settings)
    if request.bundle is not None:
        _check_bundle(request, accepted=accepted or settings.bundles.accept)
    elif request.workload in known or request.workload not in offered:
        registry.find(settings, request.workload).asked(request.options)
    if request.bundle is None and request.bundle_entry is not None:
        raise InputError("bundle_entry: it says where a workload is in a bundle. Name the bundle.")
    budget_named(request.budget, settings.budget_table())
    StudyRequest.checked(request.to_dict())
    for name in request.levers:
        if name not in LEVERS:
            raise InputError(unknown_name("lever", name, LEVERS))
    if names_group(request.device_name) and request.most_devices != 1:
        raise InputError(
            "devices_at_once: a study of several devices that train as one (devices) is run by one "
            "such group at a time. Leave devices_at_once out."
        )
    if not names_group(request.device_name):
        parallel.check(request.pinned, None)
        parallel.check(request.levers, None)
    effective_batch.check(request.effective_batch_size, [*request.pinned, *request.levers])


def _check_bundle(request: StudyRequest, *, accepted: bool) -> None:
    if not accepted:
        raise NotAccepted(f"{NOBODY_ACCEPTS} {HOW_TO_ACCEPT}")
    if NAME.fullmatch(request.entry):
        raise InputError(
            f"{request.entry!r} does not say where the workload is in the bundle. Give "
            "path/to/file.py:Class or package.module:Class."
        )
    archive.checked(request.entry)
    if NAME.fullmatch(request.workload):
        raise InputError(
            f"workload: {request.workload!r} could be a registered name, whose results those of a "
            "bundle would be taken for. Name it as a path or module, such as train.py:Net."
        )


def cancel(database: Database, study_id: str) -> Job:
    """End a job; what it measured is kept, and the same request resumes it.

    Its runner ends a running job within seconds; ``cancel_requested`` is set until then. Cancelling
    twice is allowed. Raises ``NotFound``, and ``Conflict`` for one that finished or failed.
    """
    with database.write() as session:
        return asking.cancel(session, _get(session, study_id).id, JobKind.STUDY)


def delete(database: Database, study_id: str) -> None:
    """Delete a study with its trials, its recommendation and the jobs that it answers. The id of a
    job that an older study answers deletes only that job. Measurements stay: other studies reuse
    them.

    Raises ``NotFound``, and ``Conflict`` while a job waits or runs, or a process runs the study.
    """
    with database.write() as session:
        deaths.bury_dead_here(session)
        rows = repository.concerning(session, study_id)
        study = study_repository.get(session, study_id)
        if not rows and study is None:
            raise NotFound(f"There is no study {study_id}.")
        for row in rows:
            if row.state in ACTIVE:
                raise Conflict(f"Study {study_id} is {row.state}. Cancel it first.")
        if study is not None and (by := studies.run_by(study)):
            raise Conflict(by)
        repository.remove(session, [row.id for row in rows])
        study_repository.remove(session, [study_id])


def get(database: Database, study_id: str) -> Job:
    """By the job's id, or by the id of the study that answers it. Raises ``NotFound``."""
    with database.read() as session:
        return _get(session, study_id)


def _get(session: Session, study_id: str) -> Job:
    job = repository.find(session, study_id)
    if job is None:
        raise NotFound(f"There is no study {study_id} that was started through the service.")
    return job
