"""Which process settles which config of a study, and under which number. All SQL about claims."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.clock import utc_now
from app.database.models.results import MeasurementRow, StudyRow
from app.database.models.searching import ClaimRow, TrialRow
from app.database.upsert import upsert
from app.tuning.owner import Owner, owner_of
from optimizer.records import short_hash
from probes.measurement import Config


def claim(session: Session, study_id: str, config: Config, owner: Owner) -> int | None:
    """The number of the config's trial, if it is now this process's to settle; ``None`` while
    another live process has claimed it. The claim of a dead process is taken over."""
    values = {
        "study_id": study_id,
        "config_hash": short_hash(config),
        "config": config,
        "claimed_at": utc_now(),
        **owner.columns(),
    }
    upsert(session, ClaimRow, values, key=["study_id", "config_hash"], update=[])
    row = session.execute(
        select(ClaimRow)
        .where(ClaimRow.study_id == study_id, ClaimRow.config_hash == values["config_hash"])
        .with_for_update()
    ).scalar_one()
    if _is_held_by_another(row, owner):
        return None
    for name in ("claimed_at", *owner.columns()):
        setattr(row, name, values[name])
    if row.number is None:
        row.number = _number(session, study_id, config)
    session.flush()
    return row.number


def _number(session: Session, study_id: str, config: Config) -> int:
    """The number that the config has had in the study, else the next free one."""
    # One process at a time: two that claim different configs must not get the same number.
    session.execute(
        select(StudyRow.id).where(StudyRow.id == study_id).with_for_update(key_share=True)
    )
    trials = session.execute(
        select(TrialRow.config, TrialRow.number).where(TrialRow.study_id == study_id)
    ).all()
    settled = {short_hash(each): number for each, number in trials}
    measured = _numbers(session, MeasurementRow, MeasurementRow.trial_number, study_id)
    claimed = _numbers(session, ClaimRow, ClaimRow.number, study_id)
    own_hash = short_hash(config)
    for known in (settled, measured, claimed):
        if own_hash in known and (known is settled or known[own_hash] not in settled.values()):
            return known[own_hash]
    return 1 + max([*settled.values(), *measured.values(), *claimed.values()], default=-1)


def _numbers(
    session: Session,
    table: type[ClaimRow | MeasurementRow],
    number: InstrumentedAttribute[int | None],
    study_id: str,
) -> dict[str, int]:
    """Numbers by the hash of their config."""
    statement = (
        select(table.config_hash, number)
        .where(table.study_id == study_id, number.is_not(None))
        .distinct()
    )
    return {config_hash: n for config_hash, n in session.execute(statement) if n is not None}


def busy(session: Session, study_id: str, owner: Owner) -> list[Config]:
    """What other processes that are alive have claimed and not released."""
    rows = session.execute(select(ClaimRow).where(ClaimRow.study_id == study_id)).scalars()
    return [row.config for row in rows if _is_held_by_another(row, owner)]


def release(session: Session, study_id: str, config: Config) -> None:
    """The config is settled."""
    session.execute(
        delete(ClaimRow).where(
            ClaimRow.study_id == study_id, ClaimRow.config_hash == short_hash(config)
        )
    )


def release_all(session: Session, study_id: str, owner: Owner | None) -> None:
    """Delete the claims of this process, which has stopped working on the study, and those of
    processes that are dead."""
    rows = session.execute(select(ClaimRow).where(ClaimRow.study_id == study_id)).scalars()
    for row in rows.all():
        if not _is_held_by_another(row, owner):
            session.delete(row)
    session.flush()


def release_process(session: Session, study_id: str, host: str, pid: int) -> None:
    """Delete the claims of a process that is known to have ended, on another host."""
    session.execute(
        delete(ClaimRow).where(
            ClaimRow.study_id == study_id, ClaimRow.owner_host == host, ClaimRow.owner_pid == pid
        )
    )


def holders(session: Session, study_id: str) -> list[Owner]:
    """The processes that have claimed configs of a study."""
    rows = session.execute(select(ClaimRow).where(ClaimRow.study_id == study_id)).scalars()
    return [owner for row in rows if (owner := owner_of(row)) is not None]


def _is_held_by_another(row: ClaimRow, owner: Owner | None) -> bool:
    holder = owner_of(row)
    return holder is not None and holder != owner and holder.is_active(row.claimed_at)
