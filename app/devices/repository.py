"""All SQL about devices."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database import paging
from app.database.models.results import DeviceRow
from app.database.upsert import upsert


def save(session: Session, *, key: str, **known: Any) -> None:
    """Add a device, or update what is known of it: ``class_key``, ``kind``, ``name`` and
    ``document``."""
    _seen(session, key, known, update=[*known, "last_seen_at"])


def require(session: Session, key: str, device: str) -> int:
    """The id of a device's row; one with only its name is added if nobody has registered it."""
    kind = device.partition(":")[0]
    known = {"class_key": "", "kind": kind, "name": device, "document": {}}
    _seen(session, key, known, update=["last_seen_at"])
    return session.execute(select(DeviceRow.id).where(DeviceRow.key == key)).scalar_one()


def _seen(session: Session, key: str, known: dict[str, Any], *, update: list[str]) -> None:
    now = utc_now()
    values = {"key": key, **known, "first_seen_at": now, "last_seen_at": now}
    upsert(session, DeviceRow, values, key=["key"], update=update)


def find(session: Session, key: str) -> DeviceRow | None:
    return session.execute(select(DeviceRow).where(DeviceRow.key == key)).scalar_one_or_none()


def named(session: Session, name: str) -> DeviceRow | None:
    """The device of that name that was seen last."""
    return session.execute(
        select(DeviceRow)
        .where(DeviceRow.name == name)
        .order_by(DeviceRow.last_seen_at.desc())
        .limit(1)
    ).scalar_one_or_none()


def listing(session: Session) -> list[DeviceRow]:
    """Last seen first."""
    rows = session.execute(
        select(DeviceRow).order_by(DeviceRow.last_seen_at.desc(), DeviceRow.id.desc())
    )
    return list(rows.scalars())


def page(session: Session, **wanted: Any) -> list[DeviceRow]:
    """Newest first; see ``app.database.paging.page``."""
    return paging.page(session, DeviceRow, **wanted)


def of_keys(session: Session, keys: Collection[str]) -> dict[str, DeviceRow]:
    """The known ones of these devices, by key."""
    rows = session.execute(select(DeviceRow).where(DeviceRow.key.in_(list(keys))))
    return {row.key: row for row in rows.scalars()}
