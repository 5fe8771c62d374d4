"""All SQL about runners."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.serving import RunnerRow
from app.database.records import record_of
from app.jobs.offers import Offers
from app.tuning.owner import Owner

HELD_BY, NODE = "held_by", "node"
"""Keys of a runner's document, where a fleet holds it."""


@dataclass(frozen=True)
class Holder:
    """The process that looks after runners on other hosts. They end with it."""

    owner: Owner
    place: str


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
    held_by: Holder | None = None
    """``None`` for a runner that looks after itself."""
    node: str = ""
    """Of the fleet that holds it."""

    def has_ended_at(self, place: str) -> bool:
        """Whether a process that it cannot do without has ended, as far as can be seen there."""
        if self.place == place and not self.owner.is_alive():
            return True
        held = self.held_by
        return held is not None and held.place == place and not held.owner.is_alive()

    def is_watched_at(self, place: str) -> bool:
        """Whether ``has_ended_at`` tells there, so that nobody needs to count its beats."""
        return place in (self.place, self.held_by.place if self.held_by is not None else None)


def add(
    session: Session,
    runner_id: str,
    owner: Owner,
    place: str,
    offers: Offers,
    *,
    held_by: Holder | None = None,
    node: str = "",
) -> None:
    now = utc_now()
    held = {} if held_by is None else {HELD_BY: asdict(held_by), NODE: node}
    session.add(
        RunnerRow(
            id=runner_id,
            host=owner.host,
            place=place,
            pid=owner.pid,
            started_s=owner.started_s,
            beats=0,
            document={**offers.to_dict(), **held},
            started_at=now,
            heartbeat_at=now,
        )
    )
    session.flush()


def beat_all(session: Session, runner_ids: Collection[str]) -> set[str]:
    """A sign of life of each; returns those that no other process took for dead."""
    done = session.execute(
        update(RunnerRow)
        .where(RunnerRow.id.in_(list(runner_ids)))
        .values(beats=RunnerRow.beats + 1, heartbeat_at=utc_now())
        .returning(RunnerRow.id)
    )
    return set(done.scalars())


def beat(session: Session, runner_id: str) -> bool:
    """A sign of life; ``False`` if another process took the runner for dead."""
    return bool(beat_all(session, [runner_id]))


def set_offers(session: Session, runner_id: str, offers: Offers) -> RunnerRecord:
    """What the runner offers from now on."""
    row = session.get_one(RunnerRow, runner_id)
    held = {key: row.document[key] for key in (HELD_BY, NODE) if key in row.document}
    row.document = {**offers.to_dict(), **held}
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
    held = row.document.get(HELD_BY)
    return record_of(
        RunnerRecord,
        row,
        owner=Owner(row.pid, row.host, row.started_s),
        offers=Offers.from_dict(row.document),
        held_by=None if held is None else Holder(Owner(**held["owner"]), held["place"]),
        node=row.document.get(NODE, ""),
    )
