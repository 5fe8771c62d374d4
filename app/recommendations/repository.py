"""All SQL about recommendations."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database import paging
from app.database.models.results import RecommendationRow
from app.database.paging import equal_to
from app.database.upsert import upsert

if TYPE_CHECKING:
    from optimizer.records import Recommendation


def save(session: Session, recommendation: Recommendation, study_id: str, scope_key: str) -> None:
    """Add a recommendation; the same id again replaces it."""
    values = {
        "id": recommendation.id,
        "study_id": study_id,
        "workload": recommendation.workload,
        "budget": recommendation.budget,
        "device": recommendation.device,
        "fingerprint": recommendation.fingerprint,
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
    """The document as it is stored, so that no JSON is parsed and written again."""
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


def page(session: Session, **wanted: Any) -> list[Recommendation]:
    """Newest first, by id; see ``app.database.paging.page``."""
    return [_recommendation(row) for row in paging.page(session, RecommendationRow, **wanted)]


def newest_of_each(session: Session, of_each: int, limit: int) -> list[Recommendation]:
    """The newest ``of_each`` of each workload, budget and fingerprint, newest first."""
    row = RecommendationRow
    rank = func.row_number().over(
        partition_by=(row.workload, row.budget, row.fingerprint), order_by=row.id.desc()
    )
    ranked = select(row.id, rank.label("rank")).subquery()
    newest = select(ranked.c.id).where(ranked.c.rank <= of_each)
    statement = select(row).where(row.id.in_(newest)).order_by(row.id.desc()).limit(limit)
    return [_recommendation(found) for found in session.execute(statement).scalars()]


def choices(session: Session) -> tuple[list[str], list[str], list[str]]:
    """The workloads, budgets and devices that have recommendations."""
    row = RecommendationRow
    found = session.execute(select(row.workload, row.budget, row.device).distinct()).all()
    workloads, budgets, devices = (sorted({each[i] for each in found}) for i in range(3))
    return workloads, budgets, devices


def of_study(session: Session, study_id: str) -> Recommendation | None:
    """The newest recommendation of a study."""
    found = _newest(session, [RecommendationRow.study_id == study_id], 1)
    return found[0] if found else None


def starting_with(session: Session, prefix: str, limit: int = 5) -> list[Recommendation]:
    """Those whose id starts with this text, newest first."""
    return _newest(session, [RecommendationRow.id.startswith(prefix, autoescape=True)], limit)


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
    """Newest first, those stored before ``before``. ``device`` is a device's name here
    (``cuda:0``) or a fingerprint's key."""
    row = RecommendationRow
    wanted = {row.workload: workload, row.budget: budget, row.fingerprint: fingerprint}
    conditions = equal_to(wanted)
    if device is not None:
        conditions.append(or_(row.device == device, row.fingerprint == device))
    if before is not None:
        conditions.append(row.created_at < before)
    return _newest(session, conditions, limit)


def _newest(
    session: Session, conditions: list[ColumnElement[bool]], limit: int
) -> list[Recommendation]:
    row = RecommendationRow
    order = (row.created_at.desc(), row.id.desc())
    statement = select(row).where(*conditions).order_by(*order).limit(limit)
    return [_recommendation(found) for found in session.execute(statement).scalars()]


def _recommendation(row: RecommendationRow) -> Recommendation:
    from optimizer.records import Recommendation

    return Recommendation.from_dict(row.document)
