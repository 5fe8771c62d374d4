"""All SQL about recommendations."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models import RecommendationRow
from app.database.paging import newest_first
from app.database.upsert import upsert
from optimizer.records import Recommendation


def save(session: Session, recommendation: Recommendation, study_id: str, scope_key: str) -> None:
    """Add a recommendation; the same id again replaces it."""
    values = {
        "id": recommendation.id,
        "study_id": study_id,
        "workload": recommendation.workload,
        "budget": recommendation.budget,
        "device": recommendation.device,
        "fingerprint": str(recommendation.valid.get("fingerprint", "")),
        "scope_key": scope_key,
        "document": recommendation.to_dict(),
        "created_at": utc_now(),
    }
    update = [name for name in values if name != "id"]
    upsert(session, RecommendationRow, values, key=["id"], update=update)


def get(session: Session, recommendation_id: str) -> Recommendation | None:
    row = session.get(RecommendationRow, recommendation_id)
    return None if row is None else _recommendation(row)


def text_of(session: Session, recommendation_id: str) -> str | None:
    """The document as it is stored, which spares reading and writing JSON."""
    return session.execute(
        select(cast(RecommendationRow.document, Text)).where(
            RecommendationRow.id == recommendation_id
        )
    ).scalar_one_or_none()


def ids_of_studies(session: Session, study_ids: Collection[str]) -> dict[str, str]:
    """The newest recommendation of each of these studies that has one."""
    row = RecommendationRow
    found = session.execute(
        select(row.study_id, row.id)
        .where(row.study_id.in_(list(study_ids)))
        .order_by(row.created_at, row.id)
    )
    return dict(found.all())


def page(
    session: Session,
    *,
    workload: str | None = None,
    budget: str | None = None,
    device: str | None = None,
    fingerprint: str | None = None,
    study_id: str | None = None,
    before: str | None = None,
    limit: int,
) -> list[Recommendation]:
    """Newest first, by id; ``before`` is the id where the page before ended."""
    row = RecommendationRow
    wanted = {
        row.workload: workload,
        row.budget: budget,
        row.device: device,
        row.fingerprint: fingerprint,
        row.study_id: study_id,
    }
    statement = newest_first(select(row), row.id, wanted, before=before, limit=limit)
    return [_recommendation(found) for found in session.execute(statement).scalars()]


def newest_of_each(session: Session, limit: int) -> list[Recommendation]:
    """The newest of each workload, budget and fingerprint, newest first."""
    row = RecommendationRow
    newest = select(func.max(row.id)).group_by(row.workload, row.budget, row.fingerprint)
    statement = select(row).where(row.id.in_(newest)).order_by(row.id.desc()).limit(limit)
    return [_recommendation(found) for found in session.execute(statement).scalars()]


def choices(session: Session) -> tuple[list[str], list[str], list[str]]:
    """The workloads, budgets and devices that there are recommendations of."""
    row = RecommendationRow
    found = session.execute(select(row.workload, row.budget, row.device).distinct()).all()
    workloads, budgets, devices = (sorted({each[i] for each in found}) for i in range(3))
    return workloads, budgets, devices


def of_study(session: Session, study_id: str) -> Recommendation | None:
    """The newest recommendation of a study."""
    return _first(session, RecommendationRow.study_id == study_id)


def starting_with(session: Session, prefix: str, limit: int = 5) -> list[Recommendation]:
    """Those whose id starts so, newest first."""
    matches = RecommendationRow.id.startswith(prefix, autoescape=True)
    return _select(session, [matches], limit, None)


def listing(
    session: Session,
    *,
    workload: str | None = None,
    budget: str | None = None,
    device: str | None = None,
    fingerprint: str | None = None,
    before: datetime | None = None,
    limit: int = 100,
) -> list[Recommendation]:
    """Newest first. ``device`` is a device's name here (``cuda:0``) or a fingerprint's key."""
    row = RecommendationRow
    conditions: list[ColumnElement[bool]] = []
    if workload is not None:
        conditions.append(row.workload == workload)
    if budget is not None:
        conditions.append(row.budget == budget)
    if device is not None:
        conditions.append(or_(row.device == device, row.fingerprint == device))
    if fingerprint is not None:
        conditions.append(row.fingerprint == fingerprint)
    return _select(session, conditions, limit, before)


def _first(session: Session, condition: ColumnElement[bool]) -> Recommendation | None:
    found = _select(session, [condition], 1, None)
    return found[0] if found else None


def _select(
    session: Session,
    conditions: list[ColumnElement[bool]],
    limit: int,
    before: datetime | None,
) -> list[Recommendation]:
    row = RecommendationRow
    statement = select(row).where(*conditions)
    if before is not None:
        statement = statement.where(row.created_at < before)
    statement = statement.order_by(row.created_at.desc(), row.id.desc()).limit(limit)
    return [_recommendation(found) for found in session.execute(statement).scalars()]


def _recommendation(row: RecommendationRow) -> Recommendation:
    return Recommendation.from_dict(row.document)
