"""Forgetting what is old, and nothing that an answer rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from app.database import Database
from app.retention import prune_repository as repository

AT_ONCE = 500
"""Rows deleted in one transaction: others who write need not wait for all of them."""


@dataclass(frozen=True)
class Pruned:
    """How many were deleted, or would be."""

    jobs: int
    studies: int
    measurements: int
    checks: int

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    @property
    def total(self) -> int:
        return sum(self.to_dict().values())


def plan(database: Database, before: datetime) -> Pruned:
    """What ``prune`` would delete."""
    with database.read() as session:
        return Pruned(
            jobs=repository.count(session, repository.old_jobs(before)),
            studies=repository.count(session, repository.old_studies(before)),
            measurements=repository.count(session, repository.old_measurements(before)),
            checks=repository.count(session, repository.old_checks(before)),
        )


def prune(database: Database, before: datetime) -> Pruned:
    """Delete what was done with before then:

    jobs that are over, with their events; studies without a recommendation; measurements that no
    remaining study used; checks. A recommendation, its study and the measurements that this used
    stay, however old.
    """
    jobs = _delete_all(database, repository.delete_jobs, before)
    studies: list[str] = []
    while True:
        with database.write() as session:
            gone = repository.delete_studies(session, before, AT_ONCE)
        if not gone:
            break
        studies += gone
    measurements = _delete_all(database, repository.delete_measurements, before)
    checks = _delete_all(database, repository.delete_checks, before)
    return Pruned(jobs, len(studies), measurements, checks)


def _delete_all(database: Database, delete: repository.Delete, before: datetime) -> int:
    total = 0
    while True:
        with database.write() as session:
            count = delete(session, before, AT_ONCE)
        total += count
        if count == 0:
            return total
