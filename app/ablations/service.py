"""What a person or program does with an ablation of the service: start, watch or cancel it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.database import Database
from app.errors import Conflict, required
from app.jobs import asking, repository
from app.jobs.records import Job, JobEvent, JobKind
from app.knowledge.library import find_page, library_of
from app.knowledge.measuring import chosen, question, workload_of
from app.knowledge.request import AblationPost, AblationRequest
from app.settings import Settings
from app.workloads import registry
from optimizer.records import short_hash

MOST_EVENTS = 10_000


@dataclass(frozen=True)
class AblationProgress:
    """An ablation, and what has happened to it."""

    job: Job
    step: str
    """What it did last, in words; empty before it began."""
    evidence: list[dict[str, Any]]
    """What it has come to so far: ``id``, ``claim``, ``verdict`` and ``reason`` of each claim."""


def submit(
    database: Database,
    settings: Settings,
    asked: AblationPost,
    *,
    idempotency_key: str | None = None,
) -> list[Job]:
    """Queue ablations of what a page claims: a job for each workload that it is measured on.

    Raises ``NotFound`` without such a page, ``Conflict`` where it claims nothing measurable,
    ``NotRegistered`` for anything but the name of a registered workload, and ``InputError`` for
    what makes no sense.
    """
    requests = requests_of(settings, asked)
    jobs = []
    for each in requests:
        # Each workload is a request of its own; in front, as the messages show what was sent.
        key = f"{short_hash(each.workload)[:8]}/{idempotency_key}" if idempotency_key else None
        jobs.append(asking.submit(database, JobKind.ABLATION, each, key))
    return jobs


def requests_of(settings: Settings, asked: AblationPost) -> list[AblationRequest]:
    """What each job is asked; everything is checked that can be without a device."""
    page = find_page(library_of(settings), asked.page)
    claims = chosen(page.claims, asked.claims)
    if not claims:
        raise Conflict(f"{page.full_name} makes no claim that can be measured.")
    groups: dict[str, list[str]] = {}
    for claim in claims:
        name = asked.workload or workload_of(claim)
        registry.find(settings, name).asked(asked.options)
        question(claim, name, asked.options, asked.pinned)
        groups.setdefault(name, []).append(claim.id)
    fields = {**asked.model_dump(), "page": page.full_name}
    return [
        AblationRequest.trusted({**fields, "workload": name, "claims": ids})
        for name, ids in groups.items()
    ]


def get(database: Database, ablation_id: str) -> AblationProgress:
    """Raises ``NotFound``."""
    with database.read() as session:
        job = required(
            repository.get(session, ablation_id, JobKind.ABLATION), f"ablation {ablation_id}"
        )
        events = repository.events(session, job.id, 0, MOST_EVENTS)
    return _progress(job, events)


def page(database: Database, **wanted: Any) -> list[Job]:
    """Newest first. ``wanted`` may have ``state``, ``workload``, ``before`` and ``limit``."""
    with database.read() as session:
        return repository.page(session, JobKind.ABLATION, **wanted)


def of_page(database: Database, name: str, limit: int) -> list[Job]:
    """Those of the newest ablations that measure claims of a page, by its full name."""
    return [job for job in page(database, limit=limit) if job.ablation.page == name]


def cancel(database: Database, ablation_id: str) -> Job:
    """End it; evidence that was measured is kept. Raises ``NotFound``, and ``Conflict`` for one
    that is over."""
    with database.write() as session:
        return asking.cancel(session, ablation_id, JobKind.ABLATION)


def _progress(job: Job, events: list[JobEvent]) -> AblationProgress:
    steps = [event.data.get("text", "") for event in events if event.kind == "step"]
    found = {
        event.data["claim"]: event.data for event in events if event.kind == "evidence"
    }  # an attempt after a kill does not measure again what is there
    return AblationProgress(job, steps[-1] if steps else "", list(found.values()))
