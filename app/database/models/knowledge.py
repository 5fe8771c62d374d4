"""Evidence: what an ablation here came to for a claim of a knowledge page."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database.models.base import Base, FingerprintKey, TextKey, WorkloadName


class EvidenceRow(Base):
    """One claim, measured once. The columns are what is looked up by; ``document`` is all of it."""

    __tablename__ = "tonnage_evidence"
    __table_args__ = (
        Index(None, "page", "id"),
        Index(None, "claim", "id"),
        Index(None, "verdict", "id"),
        Index(None, "question", "id"),
    )

    id: Mapped[TextKey]
    question: Mapped[str] = mapped_column(String(64))
    """Hash of claim, workload, config and fingerprint: a later row answers it again."""
    page: Mapped[str] = mapped_column(String(255))
    """Full name, like ``Heuristic:Gradient_Checkpointing``."""
    claim: Mapped[str] = mapped_column(String(512))
    """Full id, like ``Heuristic:Gradient_Checkpointing#activation-memory``."""
    quantity: Mapped[str] = mapped_column(String(32))
    workload: Mapped[WorkloadName]
    device: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[FingerprintKey]
    verdict: Mapped[str] = mapped_column(String(16))
    """``confirmed``, ``refuted`` or ``undecided``."""
    reason: Mapped[str]
    document: Mapped[dict[str, Any]]
    """``optimizer.ablation.Evidence``."""
    measured_at: Mapped[datetime] = mapped_column(index=True)
