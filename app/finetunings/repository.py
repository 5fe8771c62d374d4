"""All SQL about fine-tunings, their events and their evaluation rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.database import paging
from app.database.models.finetuning import EvaluationItemRow, FineTuningEventRow, FineTuningRow
from app.finetunings.state import RUNNING

ROWS_AT_ONCE = 200
"""Rows inserted in one statement: SQLite allows a limited number of values."""
ROW_KEY = ("finetuning_id", "is_baseline", "task", "item")


# -- fine-tunings --------------------------------------------------------------------------


def add(session: Session, row: FineTuningRow) -> None:
    session.add(row)
    session.flush()


def get(session: Session, finetuning_id: str) -> FineTuningRow | None:
    return session.get(FineTuningRow, finetuning_id)


def locked(session: Session, finetuning_id: str) -> FineTuningRow | None:
    """The row, which no other process changes until the transaction ends."""
    statement = select(FineTuningRow).where(FineTuningRow.id == finetuning_id)
    return session.execute(statement.with_for_update()).scalar_one_or_none()


def remove(session: Session, finetuning_id: str) -> None:
    """Delete a fine-tuning, with its events and evaluation rows."""
    session.execute(delete(FineTuningRow).where(FineTuningRow.id == finetuning_id))


def newest_of(session: Session, run_key: str) -> FineTuningRow | None:
    """The newest generation of a run, locked."""
    statement = select(FineTuningRow).where(FineTuningRow.run_key == run_key)
    statement = statement.order_by(FineTuningRow.generation.desc()).limit(1)
    return session.execute(statement.with_for_update()).scalar_one_or_none()


def page(session: Session, **wanted: Any) -> list[FineTuningRow]:
    """Newest first; see ``app.database.paging.page``."""
    return paging.page(session, FineTuningRow, **wanted)


def by_ids(session: Session, ids: Collection[str]) -> dict[str, FineTuningRow]:
    """Those of the fine-tunings that exist."""
    rows = session.execute(select(FineTuningRow).where(FineTuningRow.id.in_(list(ids))))
    return {row.id: row for row in rows.scalars()}


def running_on(session: Session, host: str) -> list[FineTuningRow]:
    """Those that have not ended, as far as is stored, and ran on this host."""
    row = FineTuningRow
    statement = select(row).where(row.state.in_(RUNNING), row.host == host)
    return list(session.execute(statement).scalars())


def changes(session: Session, finetuning_id: str) -> tuple[int, str] | None:
    """Number of writes so far, and the state; ``None`` where there is no such fine-tuning."""
    row = FineTuningRow
    found = session.execute(select(row.changes, row.state).where(row.id == finetuning_id)).first()
    return None if found is None else (found[0], found[1])


# -- events --------------------------------------------------------------------------------


def event(session: Session, finetuning_id: str, step: int) -> FineTuningEventRow | None:
    return session.get(FineTuningEventRow, (finetuning_id, step))


def events(
    session: Session, finetuning_id: str, *, after: int = -1, limit: int | None = None
) -> list[FineTuningEventRow]:
    """In the order of their steps, those after the step ``after``."""
    row = FineTuningEventRow
    statement = select(row).where(row.finetuning_id == finetuning_id, row.step > after)
    return list(session.execute(statement.order_by(row.step).limit(limit)).scalars())


def drop_events_after(session: Session, finetuning_id: str, step: int) -> None:
    row = FineTuningEventRow
    session.execute(delete(row).where(row.finetuning_id == finetuning_id, row.step > step))


def last_step(session: Session, finetuning_id: str) -> int:
    """The last step that was logged; 0 without any."""
    row = FineTuningEventRow
    statement = select(func.max(row.step)).where(row.finetuning_id == finetuning_id)
    return session.execute(statement).scalar() or 0


# -- evaluation rows -----------------------------------------------------------------------


def put_rows(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; one with the same fine-tuning, task and item is replaced."""
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        _put(session, rows[begin : begin + ROWS_AT_ONCE])


def _put(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(EvaluationItemRow).values([dict(row) for row in rows])
    changed = {
        name: statement.excluded[name] for name in ("item_group", "source", "values", "details")
    }
    session.execute(statement.on_conflict_do_update(index_elements=list(ROW_KEY), set_=changed))


def drop_rows(session: Session, finetuning_id: str, task: str, is_baseline: bool) -> None:
    row = EvaluationItemRow
    session.execute(
        delete(row).where(
            row.finetuning_id == finetuning_id, row.task == task, row.is_baseline == is_baseline
        )
    )


def rows(
    session: Session,
    finetuning_id: str,
    task: str | None = None,
    *,
    is_baseline: bool | None = False,
    source: str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[EvaluationItemRow]:
    """Evaluation rows in the order in which they were stored, those after the row ``after``."""
    row = EvaluationItemRow
    wanted = paging.equal_to(
        {
            row.finetuning_id: finetuning_id,
            row.task: task,
            row.is_baseline: is_baseline,
            row.source: source,
        }
    )
    statement = select(row).where(*wanted, row.id > after).order_by(row.id).limit(limit)
    return list(session.execute(statement).scalars())
