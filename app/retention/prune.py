"""Deleting old rows that no answer rests on."""

from __future__ import annotations

from datetime import datetime

from app.database import Database
from app.retention import prune_repository as repository

AT_ONCE = 500
"""Rows deleted in one transaction, so that other writers need not wait for all of them."""


def plan(database: Database, before: datetime) -> dict[str, int]:
    """How many rows ``prune`` would delete, by kind."""
    old = repository.OLD.items()
    with database.read() as session:
        return {kind: repository.count(session, ids(before)) for kind, (_, ids) in old}


def prune(database: Database, before: datetime) -> dict[str, int]:
    """Delete what was done before then; returns the number of deleted rows by kind.

    Deletes jobs that are over, with their events; studies without a recommendation; measurements
    that no remaining study used; checks; fleet answers; fine-tunings that ended without a model,
    with their events and rows; evidence of a claim that was measured again; bundles that no job
    needs. A recommendation stays
    however old it is, together with its study and every measurement that the study used.
    """
    return {kind: _delete_all(database, kind, before) for kind in repository.OLD}


def _delete_all(database: Database, kind: str, before: datetime) -> int:
    total = 0
    while True:
        with database.write() as session:
            count = repository.delete_some(session, kind, before, AT_ONCE)
        total += count
        if count == 0:
            return total
