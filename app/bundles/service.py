"""Storing and finding bundles. Each is stored once, under its SHA-256, however often it is sent."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

from sqlalchemy.orm import Session

from app.bundles import archive, repository
from app.bundles.archive import InvalidBundle, Limits
from app.clock import utc_now
from app.database import Database
from app.database.models.bundles import BundleRow
from app.database.upsert import write_again
from app.errors import Conflict, NotFound
from app.settings.serving import BundleSettings

ID = re.compile(r"[0-9a-f]{64}")

log = logging.getLogger(__name__)


def limits_of(settings: BundleSettings) -> Limits:
    return Limits(settings.max_bytes, settings.max_files)


def store(
    database: Database, settings: BundleSettings, bundle_id: str, packed: bytes, by: str = ""
) -> BundleRow:
    """Keep an archive under its name, and forget bundles that nothing has used for a while.

    ``by`` is the id of the API key that sent it. Raises ``InvalidBundle``.
    """
    if archive.name_of(packed) != bundle_id:
        raise InvalidBundle(
            f"What was sent is not the bundle {bundle_id[:12]}: its SHA-256 is "
            f"{archive.name_of(packed)[:12]}…. Send it again."
        )
    files = sum(1 for _ in archive.entries(packed, limits_of(settings)))
    if files == 0:
        raise InvalidBundle("The bundle is empty.")
    compressed = archive.compress(packed)

    def write(session: Session) -> None:
        if not repository.touch(session, bundle_id):
            repository.add(
                session, bundle_id, compressed, size_bytes=len(packed), files=files, by=by
            )

    write_again(database, write, f"The bundle {bundle_id[:12]} could not be stored. Try again.")
    forget_old(database, settings)
    return get(database, bundle_id)


def store_compressed(
    database: Database, settings: BundleSettings, bundle_id: str, sent: bytes, by: str
) -> BundleRow:
    """As ``store``, for an archive that was compressed with zlib."""
    packed = archive.decompress([sent], limits_of(settings).archive_bytes)
    return store(database, settings, bundle_id, packed, by)


def is_stored(database: Database, bundle_id: str) -> bool:
    """Whether it need not be sent. It then counts as used now."""
    with database.write() as session:
        return repository.touch(session, bundle_id)


def require(session: Session, bundle_id: str) -> None:
    """Note that a bundle is used. Raises ``NotFound`` for one that is not stored."""
    if not repository.touch(session, bundle_id):
        raise NotFound(
            f"There is no bundle {bundle_id[:12]}… (any more). Send it again; tonnage tune --fleet "
            "does that by itself."
        )


def get(database: Database, bundle_id: str) -> BundleRow:
    """Raises ``NotFound``."""
    with database.read() as session:
        found = repository.get(session, bundle_id)
    if found is None:
        raise NotFound(f"There is no bundle {bundle_id}.")
    return found


def content(database: Database, settings: BundleSettings, bundle_id: str) -> bytes:
    """The archive, checked against its name. Raises ``NotFound`` and ``InvalidBundle``."""
    most = limits_of(settings).archive_bytes
    with database.write() as session:
        require(session, bundle_id)
    with database.read() as session:
        packed = archive.decompress(repository.chunks(session, bundle_id), most)
    if archive.name_of(packed) != bundle_id:
        raise InvalidBundle(f"The bundle {bundle_id[:12]} is damaged in the database.")
    return packed


def delete(database: Database, bundle_id: str) -> None:
    """Raises ``NotFound``, and ``Conflict`` while a job that is not over needs it."""
    with database.write() as session:
        if repository.is_awaited(session, bundle_id):
            raise Conflict(f"A study needs the bundle {bundle_id[:12]}. Cancel it first.")
        if not repository.remove(session, bundle_id):
            raise NotFound(f"There is no bundle {bundle_id}.")


def forget_old(database: Database, settings: BundleSettings) -> int:
    """Delete the bundles that nothing has used for ``keep_days``; returns how many."""
    with database.write() as session:
        count = repository.remove_old(session, utc_now() - timedelta(days=settings.keep_days))
    if count:
        log.info("%d bundles were not used for %g days and are gone.", count, settings.keep_days)
    return count
