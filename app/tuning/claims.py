"""Which process is settling which config of a study, where several work on it. All SQL of that."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models import ClaimRow
from app.database.upsert import upsert
from app.tuning.owner import Owner
from optimizer.records import short_hash
from probes.measurement import Config

SILENT_AFTER = timedelta(minutes=30)
"""A process on another host that settles nothing for so long is taken for dead."""


def claim(session: Session, study_id: str, config: Config, owner: Owner) -> bool:
    """Whether the config is now this process's to settle; one of a dead process is taken over."""
    values = {
        "study_id": study_id,
        "config_hash": short_hash(config),
        "config": config,
        "owner_pid": owner.pid,
        "owner_host": owner.host,
        "owner_started_s": owner.started_s,
        "claimed_at": utc_now(),
    }
    upsert(session, ClaimRow, values, key=["study_id", "config_hash"], update=[])
    row = session.execute(
        select(ClaimRow)
        .where(ClaimRow.study_id == study_id, ClaimRow.config_hash == values["config_hash"])
        .with_for_update()
    ).scalar_one()
    if _owner(row) != owner and _is_held(row):
        return False
    for name in ("owner_pid", "owner_host", "owner_started_s", "claimed_at"):
        setattr(row, name, values[name])
    session.flush()
    return True


def busy(session: Session, study_id: str, owner: Owner) -> list[Config]:
    """What other processes that are alive have claimed and not released."""
    rows = session.execute(select(ClaimRow).where(ClaimRow.study_id == study_id)).scalars()
    return [row.config for row in rows if _owner(row) != owner and _is_held(row)]


def release(session: Session, study_id: str, config: Config) -> None:
    """The config is settled."""
    session.execute(
        delete(ClaimRow).where(
            ClaimRow.study_id == study_id, ClaimRow.config_hash == short_hash(config)
        )
    )


def let_go(session: Session, study_id: str, owner: Owner | None) -> None:
    """Forget what this process has claimed, which works on the study no more, and what dead ones
    have."""
    rows = session.execute(select(ClaimRow).where(ClaimRow.study_id == study_id)).scalars()
    for row in rows.all():
        if _owner(row) == owner or not _is_held(row):
            session.delete(row)
    session.flush()


def _owner(row: ClaimRow) -> Owner:
    return Owner(row.owner_pid, row.owner_host, row.owner_started_s)


def _is_held(row: ClaimRow) -> bool:
    owner = _owner(row)
    return owner.is_alive() if owner.is_here else utc_now() - row.claimed_at < SILENT_AFTER
