"""Training runs, and what the service needs: API keys, replies, runners and jobs."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.models import results  # noqa: F401  (foreign keys lead to its tables)
from app.database.models.base import (
    BIG_KEY,
    Base,
    CreatedAt,
    FingerprintKey,
    RecommendationRef,
    TextKey,
    WorkloadName,
)


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
    """``read``, ``run``, ``code`` or ``admin``."""
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
    """What it offers: ``devices`` and ``workloads``; and the process that holds it in a fleet."""
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]


WAITS = text("state IN ('queued', 'interrupted')")
"""The states of jobs that wait, as the index of these has them."""
WAITING_INDEX = "ix_tonnage_jobs_waiting"


class JobRow(Base):
    """A study, an ablation or a fine-tuning that was asked for, to be run by a runner; or the help
    that one more device gives to a study while it does."""

    __tablename__ = "tonnage_jobs"
    __table_args__ = (
        Index(None, "state", "id"),
        Index(None, "kind", "id"),
        # Few jobs of many: without it a look for work reads every job that was ever finished.
        Index(WAITING_INDEX, "created_at", "id", sqlite_where=WAITS, postgresql_where=WAITS),
    )

    id: Mapped[TextKey]
    """Also the id of the fine-tuning, or of the study where the question turns out to be a new
    one."""
    kind: Mapped[str] = mapped_column(String(16), default="study", server_default="study")
    """``study``, ``ablation``, ``finetuning`` or ``assist``."""
    state: Mapped[str] = mapped_column(String(16))
    request: Mapped[dict[str, Any]]
    """``StudyRequest`` of ``app.tuning``, ``AblationRequest`` of ``app.knowledge`` or
    ``FineTuningPost`` of ``app.finetunings``."""
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
    attempt: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counted up each time a runner takes it. What an earlier attempt reports is refused."""
    resume_on: Mapped[str | None] = mapped_column(String(255))
    """The device it ran on before, where its measurements hold."""
    resume_class: Mapped[str | None] = mapped_column(String(64))
    """``class_key`` if that device is gone: another one of the class may take over at once."""
    devices_at_once: Mapped[int] = mapped_column(default=1, server_default="1")
    """How many devices of one class may work on a study at once; 0 for all there are."""
    class_key: Mapped[str | None] = mapped_column(String(64))
    """The class of the device it ran on last: for a study of several devices, any device of that
    class is as good."""
    runs_on: Mapped[dict[str, Any] | None]
    """``host``, ``device`` and ``name`` of the device, for people, while it runs."""
    assists: Mapped[str | None] = mapped_column(String(40), index=True)
    """Of an ``assist``: the job of the study that it works on."""
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


class FleetNodeRow(Base):
    """A host of the fleet, as its runner last saw it."""

    __tablename__ = "tonnage_fleet_nodes"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """As the engine calls it; a host that joins again is another node."""
    name: Mapped[str] = mapped_column(String(255), index=True)
    host: Mapped[str] = mapped_column(String(255))
    address: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(16))
    """``joining``, ``ready``, ``draining``, ``drained``, ``unusable`` or ``gone``."""
    reason: Mapped[str] = mapped_column(default="")
    """Why it cannot be used, or what is to be known of it."""
    drain: Mapped[str] = mapped_column(String(8), default="")
    """``finish``: take nothing new; ``now``: give back what runs too; empty: neither."""
    labels: Mapped[dict[str, Any]]
    versions: Mapped[dict[str, Any]]
    """``tonnage``, ``python``, ``ray``, ``torch``, ``driver``, as far as the node tells."""
    runner_id: Mapped[str | None] = mapped_column(String(40))
    """Its runner, while it has one."""
    joined_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    """The last sign of life of the fleet's runner, by that one's clock."""
