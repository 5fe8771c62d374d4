"""Fine-tunings: the run, what it logged while it trained, and a row per evaluated item."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database.models.base import BIG_KEY, Base, CreatedAt, FingerprintKey, TextKey

FineTuningKey = Annotated[
    str, mapped_column(ForeignKey("tonnage_finetunings.id", ondelete="CASCADE"), primary_key=True)
]
"""The fine-tuning that a row is a part of."""


class FineTuningRow(Base):
    """One fine-tuning, from its data to its evaluation. Resuming it changes the same row."""

    __tablename__ = "tonnage_finetunings"
    __table_args__ = (
        UniqueConstraint("run_key", "generation"),
        Index(None, "state", "id"),
        Index(None, "model", "id"),
    )

    id: Mapped[TextKey]
    run_key: Mapped[str] = mapped_column(String(64))
    """Hash of host, output folder and settings: what makes it the same run."""
    generation: Mapped[int]
    """Increases when the same run is begun again in an empty folder."""
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(default="")
    """Why it failed or stopped, in words."""
    model: Mapped[str] = mapped_column(String(1024))
    preset: Mapped[str | None] = mapped_column(String(64), index=True)
    strategy: Mapped[str] = mapped_column(String(16), index=True)
    """``full``, ``lora`` or ``qlora``: what trains, which the fit may have changed."""
    device: Mapped[str] = mapped_column(String(64), index=True)
    fingerprint: Mapped[FingerprintKey]
    host: Mapped[str] = mapped_column(String(255))
    output: Mapped[str]
    """Absolute path of the run's folder, on its host."""
    tonnage_version: Mapped[str] = mapped_column(String(64))
    micro_batch: Mapped[int | None] = mapped_column(BigInteger)
    accumulation: Mapped[int | None] = mapped_column(BigInteger)
    limit_bytes: Mapped[int | None] = mapped_column(BigInteger)
    predicted_peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    measured_peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """The highest of all attempts."""
    peak_error: Mapped[float | None]
    """Relative to what was measured; positive when the prediction was too high."""
    predicted_step_s: Mapped[float | None]
    measured_step_s: Mapped[float | None]
    step_error: Mapped[float | None]
    step: Mapped[int] = mapped_column(BigInteger)
    """The last optimizer step that was logged."""
    steps: Mapped[int | None] = mapped_column(BigInteger)
    """Optimizer steps planned."""
    eval_loss: Mapped[float | None]
    """Of the best checkpoint."""
    settings: Mapped[dict[str, Any]]
    """As asked for; those that train are in ``fit``."""
    fit: Mapped[dict[str, Any] | None]
    data: Mapped[dict[str, Any] | None]
    """The data card."""
    facts: Mapped[dict[str, Any]]
    """What else was reported."""
    evaluations: Mapped[dict[str, Any]]
    """Summary of each evaluated task; ``baseline:TASK`` for the model it began with."""
    changes: Mapped[int] = mapped_column(BigInteger)
    """Increases with every write, so that a page knows whether there is something new."""
    owner_pid: Mapped[int | None] = mapped_column(BigInteger)
    """The process that runs it, on ``host``; ``None`` when no process does."""
    owner_started_s: Mapped[float | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class FineTuningEventRow(Base):
    """What was logged at one optimizer step. A later log of the same step adds to it."""

    __tablename__ = "tonnage_finetuning_events"

    finetuning_id: Mapped[FineTuningKey]
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[float | None]
    loss: Mapped[float | None]
    eval_loss: Mapped[float | None]
    learning_rate: Mapped[float | None]
    tokens_per_s: Mapped[float | None]
    step_s: Mapped[float | None]
    left_s: Mapped[float | None]
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    document: Mapped[dict[str, Any]]
    """Every other value that was logged."""
    created_at: Mapped[datetime]


class EvaluationItemRow(Base):
    """What a model did on one item of a task."""

    __tablename__ = "tonnage_evaluation_rows"
    __table_args__ = (UniqueConstraint("finetuning_id", "is_baseline", "task", "item"),)

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    finetuning_id: Mapped[str] = mapped_column(
        ForeignKey("tonnage_finetunings.id", ondelete="CASCADE")
    )
    is_baseline: Mapped[bool]
    """Whether it is of the model that was evaluated beside the fine-tuned one."""
    task: Mapped[str] = mapped_column(String(255))
    item: Mapped[str] = mapped_column(String(1024))
    item_group: Mapped[str]
    """What is resampled as a whole: all moves of one game."""
    source: Mapped[str]
    values: Mapped[dict[str, Any]]
    details: Mapped[dict[str, Any]]
    """For a person: the prompt, the answer. Never compared."""
