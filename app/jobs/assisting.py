"""One study on several devices: a free device of the same class assists a study that runs.

The study's own job, its *owner*, searches as always. A device that assists has a row of its own in
the table of jobs, so that the database gives no device to two of them. Its process claims configs
of the study, measures and settles them, and leaves when nothing is left; the owner recommends. What
a device that is lost had claimed is claimed again by the others.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.serving import JobRow
from app.ids import new_id
from app.jobs import assist_repository, repository
from app.jobs.offers import DeviceOffer
from app.jobs.records import Job
from app.jobs.runner_repository import RunnerRecord
from app.tuning.state import StudyState

PREFIX = "ast"
MAX_DEATHS = 2
"""A device whose process died this often in a row, without a new measurement, assists the study no
more. The study goes on without it."""


def claim(
    session: Session, runner: RunnerRecord, taken: Collection[str], skip: Collection[str]
) -> tuple[Job, DeviceOffer] | None:
    """Let a free device of the runner assist a study; ``None`` if none wants one.

    ``taken`` are devices in use, ``skip`` jobs to leave alone. Raises ``IntegrityError`` when
    another runner takes the device at the same moment.
    """
    refused = assist_repository.refused(session, runner.offers.leases, MAX_DEATHS)
    passed = [*skip, *_refused_by_all(runner, taken, refused)]
    wanted = runner.offers.runnable(taken)
    job = assist_repository.next_to_assist(session, wanted, passed, lock=True)
    if job is None or not _has_room(session, job):
        return None
    offers = runner.offers.meant(job.workload, job.class_key)
    free = [each for each in offers if not each.leases & {*taken}]
    offer = next((each for each in free if job.id not in refused.get(each.lease, ())), None)
    if offer is None:
        return None
    return _begin(session, runner, job, offer), offer


def is_wanted(
    session: Session, runner: RunnerRecord, taken: Collection[str], skip: Collection[str]
) -> bool:
    """Whether ``claim`` might find something: a look that locks nothing."""
    wanted = runner.offers.runnable(taken)
    return assist_repository.next_to_assist(session, wanted, skip, lock=False) is not None


def _has_room(session: Session, job: JobRow) -> bool:
    """Counted again under the lock: another runner may have come first."""
    most = job.devices_at_once
    return most == 0 or 1 + assist_repository.count(session, job.id) < most


def _refused_by_all(
    runner: RunnerRecord, taken: Collection[str], refused: dict[str, set[str]]
) -> set[str]:
    """Jobs that no free device of the runner assists."""
    free = runner.offers.leases - {*taken}
    each = [refused.get(lease, set()) for lease in free]
    return set.intersection(*each) if each else set()


def _begin(session: Session, runner: RunnerRecord, job: JobRow, offer: DeviceOffer) -> Job:
    row = assist_repository.of_device(session, job.id, offer.lease)
    row = row or assist_repository.add(session, new_id(PREFIX), job, offer.lease)
    row.state = StudyState.RUNNING
    row.message = ""
    row.runner_id = runner.id
    row.lease = offer.lease
    row.class_key = job.class_key
    row.runs_on = place_of(runner, offer)
    row.attempt += 1
    row.started_at = utc_now()
    session.flush()
    repository.add_event(session, job, "joined", dict(row.runs_on))
    return repository.record(row)


def place_of(runner: RunnerRecord, offer: DeviceOffer) -> dict[str, str]:
    """Host, device and name of where a job runs, for people."""
    return {"host": runner.owner.host, "device": offer.device, "name": offer.name}


def is_lost(assist: JobRow | Job, job: JobRow | Job | None) -> str:
    """Why a study does not want what a device measures for it; empty while it does. ``job`` is what
    the device assists."""
    if job is None:
        return "The study was deleted."
    if StudyState(job.state).is_terminal:
        return f"The study is {job.state}."
    if job.class_key != assist.class_key:
        return "The study goes on with devices of another class."
    return ""


def leave(session: Session, row: JobRow, job: JobRow | None, state: StudyState, why: str) -> None:
    """A device assists no more. Both rows are locked. After an error (``failed``) it is remembered,
    so that the device does not run into the same error for ever."""
    goes_on = job is not None and not StudyState(job.state).is_terminal
    if job is not None and goes_on:
        data = {**(row.runs_on or {}), "message": why}
        repository.add_event(session, job, "left", data)
    if state is StudyState.FAILED and goes_on:
        row.state = state
        row.message = why
        row.runner_id = row.lease = row.pid = row.runs_on = None
        row.updated_at = utc_now()
        session.flush()
    else:
        session.delete(row)
        session.flush()
