"""Every table, in one file.

The resources refer to each other (a trial to its study, a study to its device), so the schema is
read, and migrated, as one thing; what is done with a table is in its resource's ``repository``.

Every table is named ``tonnage_…``, because a team may keep tables of its own in the same database.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.database.types import CleanText, Document, UtcDateTime
from probes.devices.fingerprint import Fingerprint

PREFIX = "tonnage_"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints need names that a later migration can refer to."""


BIG_KEY = BigInteger().with_variant(Integer, "sqlite")
"""SQLite assigns ids only in a column that is exactly INTEGER, which has 64 bits there."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it so)
        datetime: UtcDateTime,
        dict[str, Any]: Document,
        str: CleanText,
    }


TextKey = Annotated[str, mapped_column(String(40), primary_key=True)]
"""As ``app.ids`` makes it."""
StudyKey = Annotated[
    str,
    mapped_column(ForeignKey("tonnage_studies.id", ondelete="CASCADE"), primary_key=True),
]
"""The study that a row is a part of."""
RecommendationRef = Annotated[
    str,
    mapped_column(ForeignKey("tonnage_recommendations.id", ondelete="SET NULL"), index=True),
]
"""``None`` when there was no recommendation, or it has been deleted."""
WorkloadName = Annotated[str, mapped_column(String(1024))]
FingerprintKey = Annotated[str, mapped_column(String(64), index=True)]
CreatedAt = Annotated[datetime, mapped_column(index=True)]


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
    document: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


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


class TrainingRunRow(Base):
    """One training run that was started with a recommendation, and how it ended."""

    __tablename__ = "tonnage_runs"
    __table_args__ = (Index(None, "workload", "id"),)

    id: Mapped[TextKey]
    outcome: Mapped[str] = mapped_column(String(16), index=True)
    """``finished``, ``out_of_memory``, ``failed`` or ``interrupted``."""
    exit_status: Mapped[int]
    workload: Mapped[WorkloadName]
    budget: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[FingerprintKey]
    recommendation_id: Mapped[RecommendationRef | None]
    batch_size: Mapped[int] = mapped_column(BigInteger)
    accumulation: Mapped[int] = mapped_column(BigInteger)
    step_time_s: Mapped[float | None]
    """Median, where the output told it."""
    wall_s: Mapped[float]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


class ApiKeyRow(Base):
    """A key to the HTTP interface. The key itself is not kept, only what recognises it."""

    __tablename__ = "tonnage_api_keys"

    id: Mapped[TextKey]
    name: Mapped[str]
    scope: Mapped[str] = mapped_column(String(16))
    """``read``, ``run`` or ``admin``."""
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class IdempotentReplyRow(Base):
    """What was answered to a writing request that carried an ``Idempotency-Key``."""

    __tablename__ = "tonnage_idempotent_replies"
    __table_args__ = (UniqueConstraint("caller", "operation", "key"),)

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    caller: Mapped[str] = mapped_column(String(64))
    """Id of the API key; keys of different callers never meet."""
    operation: Mapped[str] = mapped_column(String(128))
    """Method and path."""
    key: Mapped[str] = mapped_column(String(255))
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    location: Mapped[str | None] = mapped_column(String(255))
    body: Mapped[str]
    """JSON text; empty for an answer without a body."""
    created_at: Mapped[CreatedAt]


class RunnerRow(Base):
    """A process that runs jobs on the devices of one host. The row goes when it ends."""

    __tablename__ = "tonnage_runners"

    id: Mapped[TextKey]
    host: Mapped[str] = mapped_column(String(255))
    place: Mapped[str] = mapped_column(String(64))
    """Where its process number means something (``app.tuning.owner``)."""
    pid: Mapped[int] = mapped_column(BigInteger)
    started_s: Mapped[float]
    beats: Mapped[int] = mapped_column(BigInteger)
    """Increases while it lives, so that watchers need only their own clock."""
    document: Mapped[dict[str, Any]]
    """What it offers: ``devices`` and ``workloads``."""
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]


class JobRow(Base):
    """A study that was asked for, to be run by a runner."""

    __tablename__ = "tonnage_jobs"
    __table_args__ = (Index(None, "state", "id"),)

    id: Mapped[TextKey]
    """Also the id of the study, where the question turns out to be a new one."""
    state: Mapped[str] = mapped_column(String(16))
    request: Mapped[dict[str, Any]]
    """``app.tuning.request.StudyRequest``."""
    active_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Key of the request while the job is active, so that there is one job per question."""
    workload: Mapped[str] = mapped_column(String(255), index=True)
    device: Mapped[str | None] = mapped_column(String(255))
    """What the request asks for, in lower case; ``None`` for the best one of the host."""
    study_id: Mapped[str | None] = mapped_column(
        ForeignKey("tonnage_studies.id", ondelete="SET NULL"), index=True
    )
    message: Mapped[str] = mapped_column(default="")
    deaths: Mapped[int]
    """How often in a row its process died without having stored anything new."""
    cancel_requested: Mapped[bool]
    runner_id: Mapped[str | None] = mapped_column(
        ForeignKey("tonnage_runners.id", ondelete="SET NULL"), index=True
    )
    lease: Mapped[str | None] = mapped_column(String(255), unique=True)
    """The device it measures on, while it runs: so there is one job per device."""
    pid: Mapped[int | None] = mapped_column(BigInteger)
    """Process id of the process that runs it, on the runner's host."""
    resume_on: Mapped[str | None] = mapped_column(String(255))
    """The device it ran on before, where its measurements hold."""
    elsewhere_at: Mapped[datetime | None]
    """When another device may have it instead."""
    last_event: Mapped[int]
    wall_s: Mapped[float]
    """Time spent running, in all attempts that have ended."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    """Start of the latest attempt."""
    finished_at: Mapped[datetime | None]


class JobKeyRow(Base):
    """Which job an idempotency key stands for."""

    __tablename__ = "tonnage_job_keys"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    job_id: Mapped[str] = mapped_column(
        ForeignKey("tonnage_jobs.id", ondelete="CASCADE"), index=True
    )
    request_key: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class JobEventRow(Base):
    """Something that happened to a job, in order."""

    __tablename__ = "tonnage_job_events"

    job_id: Mapped[str] = mapped_column(
        ForeignKey("tonnage_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
