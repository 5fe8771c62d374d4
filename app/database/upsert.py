"""Writing what another process may write at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.database.models.base import Base
from probes.errors import MeasurementError

if TYPE_CHECKING:
    from app.database.engine import Database

ATTEMPTS = 5

Result = TypeVar("Result")


def write_again(database: Database, work: Callable[[Session], Result], problem: str) -> Result:
    """What ``work`` returns, committed. It is called again, in a new transaction, where another
    process inserted the same key first.

    Raises ``MeasurementError`` with ``problem`` after ``ATTEMPTS`` times.
    """
    for _ in range(ATTEMPTS):
        try:
            with database.write() as session:
                return work(session)
        except IntegrityError:
            continue
    raise MeasurementError(problem)


def upsert(
    session: Session,
    model: type[Base],
    values: Mapping[str, Any],
    *,
    key: Sequence[str],
    update: Sequence[str],
) -> None:
    """Insert ``values``; where a row with the same ``key`` exists, set its ``update`` columns.

    It is one statement, so that two processes cannot both insert. With no ``update`` columns, an
    existing row stays as it is.
    """
    if session.get_bind().dialect.name == "postgresql":  # slow to import where it is not used
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(model).values(**values)
    if update:
        changed = {name: statement.excluded[name] for name in update}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=changed)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    session.execute(statement)
