"""The parts of a study: its trials, the configs being settled, its measurements and predictions."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database.models import results  # noqa: F401  (foreign keys lead to its tables)
from app.database.models.base import BIG_KEY, Base, StudyKey


class TrialRow(Base):
    """One settled configuration of a study (``optimizer.records.Trial``)."""

    __tablename__ = "tonnage_trials"

    study_id: Mapped[StudyKey]
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    config: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]
    batch_size: Mapped[int | None] = mapped_column(BigInteger)
    binding: Mapped[str | None] = mapped_column(String(32))
    throughput_samples_per_s: Mapped[float | None]
    violation: Mapped[dict[str, Any]]
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    probes: Mapped[int]
    wall_s: Mapped[float]
    created_at: Mapped[datetime]


class ClaimRow(Base):
    """A config of a study that a process is settling; the row goes when it is settled."""

    __tablename__ = "tonnage_claims"

    study_id: Mapped[StudyKey]
    config_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    config: Mapped[dict[str, Any]]
    owner_pid: Mapped[int] = mapped_column(BigInteger)
    owner_host: Mapped[str] = mapped_column(String(255))
    owner_started_s: Mapped[float]
    claimed_at: Mapped[datetime]
    number: Mapped[int | None]
    """Number of the config's trial; ``None`` in a row that an earlier release wrote."""


class StudyMeasurementRow(Base):
    """Which measurements a study used, its own and reused ones."""

    __tablename__ = "tonnage_study_measurements"

    study_id: Mapped[StudyKey]
    measurement_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("tonnage_measurements.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    )
    reused: Mapped[bool]


class PredictionRow(Base):
    """What was predicted for a measurement, and what was measured."""

    __tablename__ = "tonnage_predictions"
    __table_args__ = (UniqueConstraint("measurement_id", "quantity"),)

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    measurement_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("tonnage_measurements.id", ondelete="CASCADE")
    )
    quantity: Mapped[str] = mapped_column(String(32))
    predicted: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    measured: Mapped[float | None]
    """``None`` when the probe gave no such number (it ran out of memory, say)."""
