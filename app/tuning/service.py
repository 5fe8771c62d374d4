"""The rules of studies: one study per question, resumed until it is finished, owned by one process
at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from sqlalchemy.orm import Session

from app import ids
from app.clock import utc_now
from app.database import Database
from app.database.fence import Fence, open_to_all
from app.database.upsert import write_again
from app.devices import repository as devices
from app.recommendations import repository as recommendations
from app.tuning import claims, repository
from app.tuning.owner import SILENT_AFTER, this_process
from app.tuning.repository import StudyRecord
from app.tuning.state import StudyState
from app.workloads import repository as workloads
from optimizer.events import Event
from optimizer.records import Recommendation, Scope, StudySpec
from probes.errors import InputError, MeasurementError

Opening = Literal["new", "resumed", "finished"]


class StudyIsRunning(InputError):
    """Another process runs the study; its id is ``study_id``."""

    def __init__(self, study_id: str, text: str) -> None:
        super().__init__(text)
        self.study_id = study_id


def open_study(
    database: Database,
    spec: StudySpec,
    fresh: bool = False,
    accept_disturbed: bool = False,
    new_id: str | None = None,
    fence: Fence = open_to_all,
) -> tuple[StudyRecord, Opening]:
    """The study that answers ``spec``: a new one, the unfinished one, or the finished one.

    ``new`` and ``resumed`` make this process its owner: end with ``finish`` or ``stop``. A finished
    study is ``finished`` as long as its recommendation is stored, unless that rests on a disturbed
    measurement and ``accept_disturbed`` is not given. One that found nothing, or was ended by its
    time limit, is resumed, which repeats no probe that stands. ``fresh`` always begins a new one,
    which reuses nothing measured before it. ``new_id`` is the id of a new study (default: one is
    made). ``fence`` refuses a process that has no right to open it.

    Raises ``StudyIsRunning`` while another process runs it.
    """
    return write_again(
        database,
        lambda session: _open(session, spec, fresh, accept_disturbed, new_id, fence),
        f"Study {spec.key} could not be opened: other processes keep opening it too. Try again.",
    )


def _open(
    session: Session,
    spec: StudySpec,
    fresh: bool,
    accept_disturbed: bool,
    new_id: str | None,
    fence: Fence,
) -> tuple[StudyRecord, Opening]:
    fence(session)
    last = repository.latest(session, spec.key)
    if last is not None and (by := run_by(last)):
        raise StudyIsRunning(last.id, by)
    if last is None or fresh:
        if last is not None and last.state == StudyState.RUNNING:
            repository.close(session, last.id, StudyState.INTERRUPTED, "Its process ended.", 0.0)
        generation = 1 if last is None else last.generation + 1
        return _begin(session, spec, generation, fresh, new_id or ids.new_id("st")), "new"
    stored = (
        recommendations.of_study(session, last.id) if last.state == StudyState.FINISHED else None
    )
    complete = stored is not None and not stored.study.get("timed_out")
    if stored is not None and complete and (accept_disturbed or not stored.disturbed_by):
        return last, "finished"
    repository.take_over(session, last.id, this_process())
    return _get(session, last.id), "resumed"


def _begin(
    session: Session, spec: StudySpec, generation: int, fresh: bool, study_id: str
) -> StudyRecord:
    workload_id = workloads.save(
        session,
        reference=spec.scope.workload,
        source_hash=spec.scope.workload_hash,
        dataset_size=spec.dataset_size,
        space=spec.to_dict()["space"],
        replace=False,
    )
    repository.add(
        session,
        study_id,
        spec,
        this_process(),
        generation=generation,
        fresh=fresh,
        workload_id=workload_id,
        device_id=devices.require(session, spec.scope.fingerprint, spec.scope.device),
    )
    return _get(session, study_id)


def run_by(study: StudyRecord) -> str:
    """Which process runs the study now, and what to do about it; empty if none does."""
    owner = study.owner
    if study.state != StudyState.RUNNING or owner is None or not owner.is_active(study.updated_at):
        return ""
    what = f"Study {study.id} ({study.workload}, {study.budget}, {study.device})"
    if owner.is_here:
        return (
            f"{what} is being run by process {owner.pid}. Wait until it is done, or end it "
            f"with: kill -INT {owner.pid} (what it measured is kept, and it can be resumed)"
        )
    silent = utc_now() - study.updated_at
    return (
        f"{what} is being run by process {owner.pid} on {owner.host}, which last stored "
        f"something {silent.total_seconds() / 60:.0f} minutes ago. Wait until it is done; after "
        f"{SILENT_AFTER.total_seconds() / 60:.0f} minutes of silence it can be taken over."
    )


def join(database: Database, spec: StudySpec, study_id: str, class_key: str) -> StudySpec:
    """The question of a running study that this process may work on too: the same one, asked of
    another device of the same class (``class_key``).

    Raises ``InputError`` where there is no such study, or it asks something else.
    """
    study = get(database, study_id)
    other = Scope(**study.spec["scope"])
    scope = replace(spec.scope, device=other.device, fingerprint=other.fingerprint)
    joined = replace(spec, scope=scope)
    if joined.key != study.key:
        raise InputError(
            f"--join {study_id}: that study asks another question ({study.workload}, "
            f"{study.budget}). Give the same workload, budget and options as its command."
        )
    with database.read() as session:
        device = devices.find(session, other.fingerprint)
    if device is None or device.class_key != class_key:
        raise InputError(
            f"--join {study_id}: it measures on {study.device}, and this device is of another "
            "class (make, memory, power limit): its times would not be comparable."
        )
    return joined


def adopted(database: Database, spec: StudySpec, study_id: str, class_key: str) -> StudySpec:
    """The question of a study that a device of the same class has begun, to go on with it here;
    ``spec`` itself where the device is of another class, or the question has changed."""
    try:
        return join(database, spec, study_id, class_key)
    except InputError:
        return spec


def leave(database: Database, study_id: str) -> None:
    """This process, which has joined a study, stops working on it: others may claim its config."""
    with database.write() as session:
        if not _is_ours(session, study_id):
            claims.release_all(session, study_id, this_process())


def inherit(database: Database, study_id: str) -> bool:
    """Whether this process ends the study: as its owner, or in place of one that has died."""
    with database.write() as session:
        study = _get(session, study_id)
        died = study.owner is not None and study.owner.is_here and not study.owner.is_alive()
        if study.state == StudyState.RUNNING and died:
            repository.take_over(session, study_id, this_process())
        return _is_ours(session, study_id)


def finish(
    database: Database,
    study_id: str,
    recommendation: Recommendation | None,
    *,
    wall_s: float = 0.0,
    message: str = "",
    fence: Fence = open_to_all,
) -> None:
    """End a study with its recommendation, or with the reason for having none. The state and the
    recommendation are stored together.

    Raises ``MeasurementError`` when another process has taken the study over.
    """
    with database.write() as session:
        fence(session)
        if not _is_ours(session, study_id):
            raise MeasurementError(
                f"Study {study_id} is now run by another process, which will finish it. What this "
                "process measured is kept."
            )
        if recommendation is not None:
            study = _get(session, study_id)
            recommendations.save(session, recommendation, study_id, study.scope_key)
        repository.close(session, study_id, StudyState.FINISHED, message, wall_s)


def keeping_incumbent(
    database: Database,
    study_id: str,
    report: Callable[[Event], None],
    fence: Fence = open_to_all,
) -> Callable[[Event], None]:
    """``report``, having stored which trial would be recommended now with each trial that is
    settled: the study's page shows this choice of the search instead of making one."""

    def stored(event: Event) -> None:
        if event.kind == "settled":
            best = event.incumbent
            with database.write() as session:
                fence(session)
                number = best.trial.number if best is not None else None
                repository.set_incumbent(session, study_id, number)
        report(event)

    return stored


def stop(
    database: Database,
    study_id: str,
    state: StudyState = StudyState.INTERRUPTED,
    message: str = "Interrupted by the user.",
    *,
    wall_s: float = 0.0,
) -> None:
    """End the run of a study before its end: interrupted or failed. The same request resumes it.
    Does nothing if another process has taken the study over."""
    with database.write() as session:
        if _is_ours(session, study_id):
            repository.close(session, study_id, state, message, wall_s)


def _is_ours(session: Session, study_id: str) -> bool:
    return _get(session, study_id).owner == this_process()


def get(database: Database, study_id: str) -> StudyRecord:
    """Raises ``InputError`` for an unknown id."""
    with database.read() as session:
        return _get(session, study_id)


def _get(session: Session, study_id: str) -> StudyRecord:
    study = repository.get(session, study_id)
    if study is None:
        raise InputError(f"There is no study {study_id}.")
    return study
