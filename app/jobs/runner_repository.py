"""All SQL about runners."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.serving import RunnerRow
from app.database.records import record_of
from app.jobs.offers import Offers
from app.tuning.owner import Owner


@dataclass(frozen=True)
class RunnerRecord:
    """A runner that has not been found dead yet."""

    id: str
    owner: Owner
    place: str
    beats: int
    offers: Offers
    started_at: datetime
    heartbeat_at: datetime
    """By its own clock, for people. Whether it is alive is told by ``beats``."""


def add(session: Session, runner_id: str, owner: Owner, place: str, offers: Offers) -> None:
    now = utc_now()
    session.add(
        RunnerRow(
            id=runner_id,
            host=owner.host,
            place=place,
            pid=owner.pid,
            started_s=owner.started_s,
            beats=0,
            document=offers.to_dict(),
            started_at=now,
            heartbeat_at=now,
        )
    )
    session.flush()


def beat(session: Session, runner_id: str) -> bool:
    """A sign of life; ``False`` if another process took the runner for dead."""
    done = session.execute(
        update(RunnerRow)
        .where(RunnerRow.id == runner_id)
        .values(beats=RunnerRow.beats + 1, heartbeat_at=utc_now())
        .returning(RunnerRow.id)
    )
    return done.first() is not None


def set_offers(session: Session, runner_id: str, offers: Offers) -> RunnerRecord:
    """What the runner offers from now on."""
    row = session.get_one(RunnerRow, runner_id)
    row.document = offers.to_dict()
    session.flush()
    return _record(row)


def remove(session: Session, runner_id: str) -> None:
    session.execute(delete(RunnerRow).where(RunnerRow.id == runner_id))


def locked(session: Session, runner_id: str) -> RunnerRecord | None:
    """The runner, locked: no other process buries it until the transaction ends."""
    row = session.execute(
        select(RunnerRow).where(RunnerRow.id == runner_id).with_for_update()
    ).scalar_one_or_none()
    return None if row is None else _record(row)


def listing(session: Session) -> list[RunnerRecord]:
    """Oldest first."""
    rows = session.execute(select(RunnerRow).order_by(RunnerRow.id))
    return [_record(row) for row in rows.scalars()]


def _record(row: RunnerRow) -> RunnerRecord:
    owner = Owner(row.pid, row.host, row.started_s)
    return record_of(RunnerRecord, row, owner=owner, offers=Offers.from_dict(row.document))
