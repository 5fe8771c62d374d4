"""What is done with devices: remembering them and their fingerprints."""

from __future__ import annotations

from app.database import Database
from app.database.models import DeviceRow
from app.devices import repository
from app.errors import required
from probes.devices.fingerprint import Fingerprint


def register(database: Database, fingerprint: Fingerprint, *, kind: str, name: str) -> None:
    """Remember a device, so that a later one can be told apart from it in words."""
    with database.write() as session:
        repository.save(
            session,
            key=fingerprint.key,
            class_key=fingerprint.class_key,
            kind=kind,
            name=name,
            document=fingerprint.to_dict(),
        )


def fingerprint_of(database: Database, key: str) -> Fingerprint | None:
    """The fingerprint as it was when last seen; ``None`` when only its key is known, or not even
    that."""
    with database.read() as session:
        record = repository.find(session, key)
    return Fingerprint.from_dict(record.document) if record and record.document else None


def get(database: Database, key: str) -> DeviceRow:
    """By its fingerprint's key. Raises ``NotFound``."""
    with database.read() as session:
        return required(repository.find(session, key), f"device with the fingerprint {key}")
