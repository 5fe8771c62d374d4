"""Storing and finding evidence. Every function commits before it returns."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from app.clock import utc_now
from app.database import Database
from app.database.fence import Fence, open_to_all
from app.database.models.knowledge import EvidenceRow
from app.errors import required
from app.ids import new_id
from app.knowledge import repository
from optimizer.ablation.evidence import Evidence
from optimizer.records import short_hash


def record(database: Database, evidence: Evidence, fence: Fence = open_to_all) -> EvidenceRow:
    """Keep evidence. What answered the same question before is kept too."""
    measured_at = (
        datetime.fromisoformat(evidence.measured_at) if evidence.measured_at else utc_now()
    )
    row = EvidenceRow(
        id=new_id("evi"),
        question=question_key(evidence),
        page=evidence.page,
        claim=evidence.claim,
        quantity=str(evidence.quantity),
        workload=evidence.workload,
        device=evidence.device,
        fingerprint=evidence.fingerprint,
        verdict=str(evidence.verdict),
        reason=evidence.reason,
        document=evidence.to_dict(),
        measured_at=measured_at,
    )
    with database.write() as session:
        fence(session)
        repository.add(session, row)
    return row


def question_key(evidence: Evidence) -> str:
    """Equal for evidence that answers the same question on the same device."""
    asked = (
        evidence.claim,
        evidence.workload,
        evidence.fingerprint,
        str(evidence.at),
        dict(evidence.before),
        dict(evidence.after),
        dict(evidence.options),
        dict(evidence.config),
    )
    return short_hash(list(asked))


def evidence_of(row: EvidenceRow) -> Evidence:
    """The evidence in a row."""
    return Evidence.from_dict(row.document)


def get(database: Database, evidence_id: str) -> EvidenceRow:
    """Raises ``NotFound``."""
    with database.read() as session:
        return required(repository.get(session, evidence_id), f"evidence {evidence_id}")


def page(database: Database, **wanted: Any) -> list[EvidenceRow]:
    """Newest first. ``wanted`` may have ``page``, ``claim``, ``workload``, ``fingerprint`` and
    ``verdict``, ``before`` and ``limit``; see ``app.database.paging.page``."""
    with database.read() as session:
        return repository.page(session, **wanted)


def newest(
    database: Database,
    *,
    claims: Collection[str] | None = None,
    page: str | None = None,
    fingerprint: str | None = None,
) -> list[EvidenceRow]:
    """See ``repository.newest``."""
    with database.read() as session:
        return repository.newest(session, claims=claims, page=page, fingerprint=fingerprint)
