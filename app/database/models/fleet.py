"""Answers about the fleet."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database.models.base import Base, CreatedAt, TextKey, WorkloadName


class FleetAnswerRow(Base):
    """One answer to "which of our devices for this training?"."""

    __tablename__ = "tonnage_fleet_answers"
    __table_args__ = (Index(None, "workload", "id"),)

    id: Mapped[TextKey]
    workload: Mapped[WorkloadName]
    verdict: Mapped[str] = mapped_column(String(16), index=True)
    """``possible``, ``impossible`` or ``unmeasured``."""
    chosen_class: Mapped[str | None] = mapped_column(String(128))
    """Id of the class that was chosen; ``None`` where none can meet the limits."""
    document: Mapped[dict[str, Any]]
    deadline_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
