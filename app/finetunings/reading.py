"""Finding fine-tunings, what they logged and their evaluation rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.database import Database
from app.database.models.finetuning import EvaluationItemRow, FineTuningEventRow, FineTuningRow
from app.errors import NotFound
from app.finetunings import repository
from app.finetunings.service import BASELINE, mark_interrupted, required_row, run_key_of
from app.tuning.owner import this_process


def get(database: Database, finetuning_id: str) -> FineTuningRow:
    """Raises ``NotFound``."""
    mark_interrupted(database)
    with database.read() as session:
        return required_row(repository.get(session, finetuning_id), finetuning_id)


def of_folder(database: Database, output: str, settings: Mapping[str, Any]) -> FineTuningRow | None:
    """The run of a folder of this host, if it is stored; see ``service.begin``."""
    with database.read() as session:
        return repository.newest_of(session, run_key_of(this_process().host, output, settings))


def page(database: Database, **wanted: Any) -> list[FineTuningRow]:
    """Newest first. ``wanted`` may have ``state``, ``model``, ``preset``, ``strategy``, ``device``,
    ``before`` and ``limit``; see ``app.database.paging.page``."""
    mark_interrupted(database)
    with database.read() as session:
        return repository.page(session, **wanted)


def events(
    database: Database, finetuning_id: str, *, after: int = -1, limit: int | None = None
) -> list[FineTuningEventRow]:
    """What was logged after a step, in order. Raises ``NotFound``."""
    with database.read() as session:
        required_row(repository.get(session, finetuning_id), finetuning_id)
        return repository.events(session, finetuning_id, after=after, limit=limit)


def rows(
    database: Database,
    finetuning_id: str,
    task: str,
    *,
    baseline: bool = False,
    source: str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[EvaluationItemRow]:
    """Evaluation rows of a task, in the order in which they were stored. Raises ``NotFound`` where
    there is no such fine-tuning, or it was not evaluated on the task."""
    with database.read() as session:
        row = required_row(repository.get(session, finetuning_id), finetuning_id)
        found = repository.rows(
            session,
            finetuning_id,
            task,
            is_baseline=baseline,
            source=source,
            after=after,
            limit=limit,
        )
        is_known = found or after or (BASELINE + task if baseline else task) in row.evaluations
    if not is_known:
        of = f"the baseline of {finetuning_id}" if baseline else finetuning_id
        raise NotFound(f"There is no evaluation of {of} on the task {task!r}.")
    return found
