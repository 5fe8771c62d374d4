"""What was measured and answered: the tables that a check and a recommendation are read from.

A table's foreign keys lead to tables in this file only.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database.models.base import (
    BIG_KEY,
    Base,
    CreatedAt,
    FingerprintKey,
    RecommendationRef,
    TextKey,
    WorkloadName,
)
from probes.devices.fingerprint import Fingerprint


class DeviceRow(Base):
    """A device that has results: one row per fingerprint key."""

    __tablename__ = "tonnage_devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    class_key: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str]
    document: Mapped[dict[str, Any]]
    """The fingerprint's four groups: identity, device_class, environment, state."""
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]

    @property
    def groups(self) -> Fingerprint | None:
        """The fingerprint when it was last seen; ``None`` where only its key is known."""
        return Fingerprint.from_dict(self.document) if self.document else None

    @property
    def total_bytes(self) -> int | None:
        """The size of its memory; ``None`` where that is not known."""
        total = self.document.get("device_class", {}).get("total_bytes")
        return total if isinstance(total, int) and total > 0 else None


class WorkloadRow(Base):
    """A workload at one state of its source and options."""

    __tablename__ = "tonnage_workloads"
    __table_args__ = (UniqueConstraint("reference", "source_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[WorkloadName]
    source_hash: Mapped[str] = mapped_column(String(64))
    options: Mapped[dict[str, Any]]
    dataset_size: Mapped[int | None] = mapped_column(BigInteger)
    space: Mapped[dict[str, Any]]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class StudyRow(Base):
    """One answer, complete or in progress, to the question in ``spec``."""

    __tablename__ = "tonnage_studies"
    __table_args__ = (UniqueConstraint("key", "generation"),)

    id: Mapped[TextKey]
    key: Mapped[str] = mapped_column(String(64))
    generation: Mapped[int]
    """Increases when the same question is measured again with ``--fresh``."""
    fresh: Mapped[bool]
    """Whether measurements from before ``created_at`` must not be reused."""
    state: Mapped[str] = mapped_column(String(16), index=True)
    spec: Mapped[dict[str, Any]]
    scope_key: Mapped[str] = mapped_column(String(64), index=True)
    budget: Mapped[str] = mapped_column(String(64))
    workload_id: Mapped[int] = mapped_column(ForeignKey("tonnage_workloads.id"), index=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("tonnage_devices.id"), index=True)
    message: Mapped[str] = mapped_column(default="")
    """Why it failed or found nothing, in words."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    wall_s: Mapped[float]
    incumbent: Mapped[int | None]
    """Number of the trial that would be recommended if the study ended now: the choice of the
    process that runs it."""
    owner_pid: Mapped[int | None] = mapped_column(BigInteger)
    owner_host: Mapped[str | None] = mapped_column(String(255))
    owner_started_s: Mapped[float | None]
    """When the owner process started (see ``Owner``): a process number may be reused."""

    workload: Mapped[WorkloadRow] = relationship()
    device: Mapped[DeviceRow] = relationship()


class MeasurementRow(Base):
    """One probe. The columns are what is looked up by; ``document`` is all of it."""

    __tablename__ = "tonnage_measurements"
    __table_args__ = (
        Index(None, "scope_key", "config_hash", "batch_size"),
        Index(None, "study_id", "trial_number"),
        Index(None, "workload", "id"),
        Index(None, "workload", "config_hash"),
        Index(None, "fingerprint", "id"),
        Index(None, "verdict", "id"),
    )

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    scope_key: Mapped[str] = mapped_column(String(64))
    study_id: Mapped[str | None] = mapped_column(
        ForeignKey("tonnage_studies.id", ondelete="SET NULL")
    )
    """The study that ran it; ``None`` for a single probe. Its result outlives the study."""
    trial_number: Mapped[int | None]
    workload: Mapped[WorkloadName]
    device: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    """The device's fingerprint; empty for a single probe from before it was kept."""
    config_hash: Mapped[str] = mapped_column(String(64))
    config: Mapped[dict[str, Any]]
    batch_size: Mapped[int] = mapped_column(BigInteger)
    purpose: Mapped[str] = mapped_column(String(16))
    verdict: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    limit_bytes: Mapped[int | None] = mapped_column(BigInteger)
    step_mean_s: Mapped[float | None]
    tainted: Mapped[bool]
    limiting_rank: Mapped[int | None]
    """See ``Measurement.limiting_rank``; ``None`` for a single device."""
    data_parallel: Mapped[int] = mapped_column(default=1, server_default="1")
    communication_share: Mapped[float | None]
    global_batch_size: Mapped[int | None] = mapped_column(BigInteger)
    """Samples per optimizer step of all ranks; ``None`` in a row of an earlier release."""
    energy_j: Mapped[float | None]
    """Of the device in the measured steps; see ``probes.measurement.Energy``."""
    energy_per_sample_j: Mapped[float | None]
    energy_source: Mapped[str | None] = mapped_column(String(64))
    energy_unavailable: Mapped[str] = mapped_column(default="", server_default="")
    """Why there is no ``energy_j``; empty in a row of an earlier release."""
    host_energy_j: Mapped[float | None]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]

    ranks: Mapped[list["MeasurementRankRow"]] = relationship(
        order_by="MeasurementRankRow.rank",
        cascade="all, delete-orphan",
        passive_deletes=True,
        lazy="raise",
    )


class MeasurementRankRow(Base):
    """What one rank of a gang contributed to a measurement: ``probes.measurement.RankResult``."""

    __tablename__ = "tonnage_measurement_ranks"

    measurement_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("tonnage_measurements.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(String(64))
    batch_size: Mapped[int] = mapped_column(BigInteger)
    verdict: Mapped[str | None] = mapped_column(String(16))
    """``None`` where it was ended because of another rank."""
    reason: Mapped[str]
    phase: Mapped[str] = mapped_column(String(64))
    steps: Mapped[int] = mapped_column(BigInteger)
    limit_bytes: Mapped[int | None] = mapped_column(BigInteger)
    cap_bytes: Mapped[int | None] = mapped_column(BigInteger)
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    static_bytes: Mapped[int | None] = mapped_column(BigInteger)
    communication_bytes: Mapped[int] = mapped_column(BigInteger)
    step_mean_s: Mapped[float | None]
    data_s: Mapped[float | None]


class RecommendationRow(Base):
    """What a study ended in."""

    __tablename__ = "tonnage_recommendations"
    __table_args__ = (Index(None, "workload", "budget", "device"),)

    id: Mapped[TextKey]
    study_id: Mapped[str] = mapped_column(
        ForeignKey("tonnage_studies.id", ondelete="CASCADE"), index=True
    )
    workload: Mapped[WorkloadName]
    budget: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[FingerprintKey]
    scope_key: Mapped[str] = mapped_column(String(64), index=True)
    document: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


class CheckRow(Base):
    """One answer to "will this planned run fit and finish in time here?"."""

    __tablename__ = "tonnage_checks"
    __table_args__ = (Index(None, "workload", "id"),)

    id: Mapped[TextKey]
    verdict: Mapped[str] = mapped_column(String(16), index=True)
    """``fits``, ``does_not_fit``, ``too_slow``, ``unknown`` or ``stale``."""
    workload: Mapped[WorkloadName]
    device: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[FingerprintKey]
    recommendation_id: Mapped[RecommendationRef | None]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
