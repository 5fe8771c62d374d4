"""What happens to a job, kept so that whoever watches can come back and miss nothing."""

from __future__ import annotations

from typing import Any

from app.database import Database
from app.errors import NotFound
from app.jobs import repository
from app.jobs.records import JobEvent

KINDS = (
    "queued",
    "started",
    "opened",
    "note",
    "waiting",
    "trial",
    "probe",
    "measured",
    "reused",
    "settled",
    "incumbent",
    "interrupted",
    "finished",
    "failed",
    "cancelled",
)
"""What there is to see; ``docs/jobs.md`` says what each carries."""

PAGE = 500


def append(database: Database, study_id: str, kind: str, data: dict[str, Any]) -> JobEvent:
    """Add an event to a job; committed on return. Raises ``NotFound``."""
    with database.write() as session:
        job_id = repository.id_of(session, study_id)
        row = repository.locked(session, job_id) if job_id is not None else None
        if row is None:
            raise NotFound(f"There is no job {study_id}.")
        return repository.add_event(session, row, kind, data)


def read(database: Database, study_id: str, after: int = 0, limit: int = PAGE) -> list[JobEvent]:
    """Events of a job with an id above ``after``, oldest first; ids count up by one. Empty for a
    study that no job ran (``tonnage tune`` on the command line)."""
    with database.read() as session:
        job_id = repository.id_of(session, study_id)
        return [] if job_id is None else repository.events(session, job_id, after, limit)
