"""Registering devices, and finding them and their fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.database import Database
from app.database.models.results import DeviceRow
from app.devices import repository
from app.errors import required
from probes.devices.fingerprint import Fingerprint

if TYPE_CHECKING:
    from app.machine.target import Target


def register(database: Database, fingerprint: Fingerprint, *, kind: str, name: str) -> None:
    """Store a device with its fingerprint, so that changes can be named later."""
    with database.write() as session:
        repository.save(
            session,
            key=fingerprint.key,
            class_key=fingerprint.class_key,
            kind=kind,
            name=name,
            document=fingerprint.to_dict(),
        )


def register_target(database: Database, target: Target) -> None:
    """Store the device that is about to be measured."""
    register(database, target.fingerprint, kind=target.facts.kind, name=target.facts.name)


def fingerprint_of(database: Database, key: str) -> Fingerprint | None:
    """The fingerprint when it was last seen; ``None`` where only its key, or nothing, is known."""
    with database.read() as session:
        record = repository.find(session, key)
    return record.groups if record else None


def get(database: Database, key: str) -> DeviceRow:
    """By its fingerprint's key. Raises ``NotFound``."""
    with database.read() as session:
        return required(repository.find(session, key), f"device with the fingerprint {key}")
