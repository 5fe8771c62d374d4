"""Storing fine-tunings, and grading what was predicted of them. ``reading`` finds them.

The process that runs one writes; every function commits before it returns. Each may be called again
with the same arguments, which changes nothing, so that a run that was killed is stored again from
its folder.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database import Database
from app.database.models.finetuning import FineTuningEventRow, FineTuningRow
from app.database.upsert import write_again
from app.errors import required
from app.finetunings import repository
from app.finetunings.state import FineTuningState
from app.finetunings.values import at, error_of, evaluation_row, plain, set_logged
from app.ids import new_id
from app.tuning.owner import Owner, this_process
from app.tuning.state import StudyState
from optimizer.records import short_hash

BASELINE = "baseline:"
"""Before the name of a task: the summary of the model that was evaluated beside."""
DEVICE_LENGTH = 64
"""Characters of a device that are stored."""
OF_JOB = {
    StudyState.QUEUED: FineTuningState.QUEUED,
    StudyState.INTERRUPTED: FineTuningState.INTERRUPTED,
    StudyState.FAILED: FineTuningState.FAILED,
    StudyState.CANCELLED: FineTuningState.STOPPED,
}
"""State of a fine-tuning that no process runs, by the state of its job."""


def begin(
    database: Database,
    *,
    output: str,
    settings: Mapping[str, Any],
    device: str,
    fingerprint: str,
    tonnage_version: str | None = None,
    fresh: bool = False,
    finetuning_id: str | None = None,
) -> FineTuningRow:
    """The row of a run, which this process runs from now on.

    ``output`` is the absolute path of its folder and ``settings`` is what was asked for, nested.
    The same host, folder and settings are the same run, which is being resumed; ``fresh`` says that
    the folder is empty, so that it is a new one. ``finetuning_id`` is that of a fine-tuning that a
    job runs, which has a row already (``add_queued``).
    """
    owner = this_process()
    run_key = run_key_of(owner.host, output, settings)

    def work(session: Session) -> FineTuningRow:
        newest = row = repository.newest_of(session, run_key)
        if finetuning_id is not None:
            row = required_row(repository.locked(session, finetuning_id), finetuning_id)
            if row.run_key != run_key:
                row.run_key = run_key
                row.generation = 0 if newest is None else newest.generation + 1
            row.host, row.output, row.settings = owner.host, output, plain(settings)
        elif row is None or fresh:
            row = FineTuningRow(
                id=new_id("ftn"),
                run_key=run_key,
                generation=0 if row is None else row.generation + 1,
                model=str(at(settings, "model", "name") or ""),
                preset=at(settings, "preset"),
                strategy=str(at(settings, "strategy") or ""),
                host=owner.host,
                output=output,
                step=0,
                settings=plain(settings),
                facts={},
                evaluations={},
                changes=0,
                created_at=utc_now(),
            )
            row.state, row.reason = FineTuningState.PREPARING, ""
        row.device, row.fingerprint = device, fingerprint
        row.tonnage_version = tonnage_version or version("tonnage")
        row.owner_pid, row.owner_started_s = owner.pid, owner.started_s
        _changed(row)
        repository.add(session, row)
        return row

    return write_again(database, work, "The fine-tuning could not be stored. Try again.")


def add_queued(
    session: Session,
    finetuning_id: str,
    *,
    model: str,
    device: str | None,
    settings: Mapping[str, Any],
) -> FineTuningRow:
    """The row of a fine-tuning that waits for a runner. ``model`` is its registered name. Host and
    folder are known when a job begins it."""
    row = FineTuningRow(
        id=finetuning_id,
        run_key=short_hash(["queued", finetuning_id]),
        generation=0,
        model=model,
        preset=at(settings, "preset"),
        strategy=str(at(settings, "strategy") or ""),
        device=(device or "")[:DEVICE_LENGTH],
        fingerprint="",
        host="",
        output="",
        tonnage_version=version("tonnage"),
        step=0,
        settings=plain(settings),
        facts={},
        evaluations={},
        changes=0,
        created_at=utc_now(),
    )
    row.state, row.reason = FineTuningState.QUEUED, ""
    _changed(row)
    repository.add(session, row)
    return row


def follow_job(session: Session, finetuning_id: str, state: StudyState, message: str) -> None:
    """Its job has entered this state, in which no process runs it. What the run itself has stored
    of its end is kept."""
    row, after = repository.locked(session, finetuning_id), OF_JOB.get(state)
    if row is None or after is None or row.state == FineTuningState.DONE:
        return
    if state.is_terminal and row.state in (FineTuningState.FAILED, FineTuningState.STOPPED):
        return
    _enter(row, after, message)
    _changed(row)


def touch(session: Session, finetuning_id: str) -> None:
    """Let its page know that something about it has changed: an evaluation, for example."""
    row = repository.locked(session, finetuning_id)
    if row is not None:
        _changed(row)


def changed(database: Database, finetuning_id: str) -> None:
    """See ``touch``."""
    with database.write() as session:
        touch(session, finetuning_id)


def enter(
    database: Database, finetuning_id: str, state: str, reason: str = "", **facts: Any
) -> FineTuningRow:
    """Set the state. ``facts`` are added to those that are stored; those that have a column of
    their own belong to the other functions."""
    with database.write() as session:
        row = _locked(session, finetuning_id)
        _enter(row, FineTuningState(state), reason)
        row.facts = {**row.facts, **plain(facts)}
        return row


def prepared(database: Database, finetuning_id: str, card: Mapping[str, Any]) -> FineTuningRow:
    """Keep the data card."""
    with database.write() as session:
        row = _locked(session, finetuning_id)
        row.data = plain(card)
        return row


def fitted(database: Database, finetuning_id: str, fit: Mapping[str, Any]) -> FineTuningRow:
    """Keep what was fitted, ``finetuning.fit.Fit.to_dict``, and what it predicts. What was measured
    with an earlier fit is graded no more."""
    with database.write() as session:
        row = _locked(session, finetuning_id)
        batches = fit.get("batches") or {}
        row.fit = plain(fit)
        row.strategy = str(at(fit, "settings", "strategy") or row.strategy)
        row.micro_batch = batches.get("micro_batch")
        row.accumulation = batches.get("accumulation")
        row.limit_bytes = fit.get("limit_bytes")
        row.predicted_peak_bytes = fit.get("peak_bytes")
        row.predicted_step_s = (fit.get("step_s") or {}).get("mean")
        row.measured_peak_bytes = row.peak_error = None
        row.measured_step_s = row.step_error = None
        return row


def add_event(database: Database, finetuning_id: str, event: Mapping[str, Any]) -> None:
    """Keep what was logged at ``event["step"]``; a later event of the same step adds to it."""
    add_events(database, finetuning_id, [event])


def add_events(database: Database, finetuning_id: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Keep several events in one transaction: those of a run's ``progress.jsonl``, for example."""
    with database.write() as session:
        row = _locked(session, finetuning_id)
        for each in events:
            _add_event(session, row, each)


def drop_events_after(database: Database, finetuning_id: str, step: int) -> None:
    """Delete what was logged after the step of the checkpoint that a run resumes from."""
    with database.write() as session:
        row = _locked(session, finetuning_id)
        repository.drop_events_after(session, finetuning_id, step)
        row.step = repository.last_step(session, finetuning_id)


def finish(
    database: Database,
    finetuning_id: str,
    state: str,
    facts: Mapping[str, Any] | None = None,
    reason: str = "",
) -> FineTuningRow:
    """End the run, and grade what was predicted by what was measured.

    ``facts`` is what ``finetuning.training.job.train`` returned: ``peak_bytes`` and ``step_s`` were
    measured, ``step``, ``steps`` and ``eval_loss`` say how far it came.
    """
    facts = dict(facts or {})
    with database.write() as session:
        row = _locked(session, finetuning_id)
        _enter(row, FineTuningState(state), reason or str(facts.pop("reason", "")))
        row.predicted_peak_bytes = facts.get("predicted_peak_bytes") or row.predicted_peak_bytes
        row.predicted_step_s = facts.get("predicted_step_s") or row.predicted_step_s
        peaks = [row.measured_peak_bytes, facts.get("peak_bytes")]
        row.measured_peak_bytes = max((p for p in peaks if p), default=None)
        row.measured_step_s = facts.get("step_s") or row.measured_step_s
        row.peak_error = error_of(row.predicted_peak_bytes, row.measured_peak_bytes)
        row.step_error = error_of(row.predicted_step_s, row.measured_step_s)
        row.step = max(row.step, facts.get("step") or 0)
        row.steps = facts.get("steps") or row.steps
        eval_loss = facts.get("eval_loss")
        row.eval_loss = row.eval_loss if eval_loss is None else eval_loss
        row.facts = {**row.facts, **plain(facts)}
        return row


def add_rows(
    database: Database,
    finetuning_id: str,
    task: str,
    rows: Iterable[Any],
    summary: Mapping[str, Any] | None = None,
    *,
    baseline: bool = False,
) -> int:
    """Keep evaluation rows of a task, each item once; returns how many were given.

    ``rows`` are ``finetuning.evaluation.rows.EvaluationRow``, or the same as mappings. With a
    ``summary`` the evaluation is over and ``rows`` are all of its rows: others that are stored of
    this task are deleted. ``baseline``: they are of the model that was evaluated beside.
    """
    made = [evaluation_row(finetuning_id, task, each, baseline=baseline) for each in rows]
    with database.write() as session:
        row = _locked(session, finetuning_id)
        if summary is not None:
            repository.drop_rows(session, finetuning_id, task, baseline)
            name = BASELINE + task if baseline else task
            row.evaluations = {**row.evaluations, name: plain(summary)}
        repository.put_rows(session, list({each["item"]: each for each in made}.values()))
    return len(made)


def mark_interrupted(database: Database) -> None:
    """Note which fine-tunings of this host ended without saying so: their process is gone."""
    host = socket.gethostname()
    with database.read() as session:
        dead = [row.id for row in repository.running_on(session, host) if not _is_alive(row)]
    if not dead:
        return
    with database.write() as session:
        for each in dead:
            row = repository.locked(session, each)
            if row is None or FineTuningState(row.state).is_terminal or _is_alive(row):
                continue  # somebody has resumed or ended it in the meantime
            _enter(row, FineTuningState.INTERRUPTED, "Its process ended before the run did.")
            _changed(row)


def run_key_of(host: str, output: str, settings: Mapping[str, Any]) -> str:
    """The same for a run and for what resumes it; see ``begin``."""
    return short_hash([host, output, plain(settings)])


def _locked(session: Session, finetuning_id: str) -> FineTuningRow:
    row = required_row(repository.locked(session, finetuning_id), finetuning_id)
    _changed(row)
    return row


def required_row(row: FineTuningRow | None, finetuning_id: str) -> FineTuningRow:
    """Raises ``NotFound`` where there is none."""
    return required(row, f"fine-tuning {finetuning_id}")


def _changed(row: FineTuningRow) -> None:
    row.changes += 1
    row.updated_at = utc_now()


def _enter(row: FineTuningRow, state: FineTuningState, reason: str) -> None:
    row.state, row.reason = state, reason
    row.finished_at = utc_now() if state.is_terminal else None
    if state.is_terminal or state is FineTuningState.QUEUED:
        row.owner_pid = row.owner_started_s = None
    elif row.owner_pid is None:
        owner = this_process()
        row.host, row.owner_pid, row.owner_started_s = owner.host, owner.pid, owner.started_s


def _is_alive(row: FineTuningRow) -> bool:
    if row.owner_pid is None:
        return False
    return Owner(row.owner_pid, row.host, row.owner_started_s or 0.0).is_alive()


def _add_event(session: Session, row: FineTuningRow, event: Mapping[str, Any]) -> None:
    step = int(event["step"])
    found = repository.event(session, row.id, step)
    if found is None:
        found = FineTuningEventRow(finetuning_id=row.id, step=step, document={})
        found.created_at = utc_now()
        session.add(found)
    set_logged(found, event)
    row.step = max(row.step, step)
    row.steps = event.get("of") or row.steps
    loss = event.get("eval_loss")
    if loss is not None and math.isfinite(loss):
        row.eval_loss = loss if row.eval_loss is None else min(row.eval_loss, loss)
