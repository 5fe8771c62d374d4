"""Fine-tunings, what they logged while they trained, and the rows of their evaluations.

Revision 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INDEXES = (
    ("state", "id"),
    ("model", "id"),
    ("preset",),
    ("strategy",),
    ("device",),
    ("fingerprint",),
    ("created_at",),
)


def upgrade() -> None:
    _finetunings()
    _events()
    _rows()


def _finetunings() -> None:
    op.create_table(
        "tonnage_finetunings",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("run_key", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=1024), nullable=False),
        sa.Column("preset", sa.String(length=64), nullable=True),
        sa.Column("strategy", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("tonnage_version", sa.String(length=64), nullable=False),
        sa.Column("micro_batch", sa.BigInteger(), nullable=True),
        sa.Column("accumulation", sa.BigInteger(), nullable=True),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("predicted_peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("measured_peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("peak_error", sa.Double(), nullable=True),
        sa.Column("predicted_step_s", sa.Double(), nullable=True),
        sa.Column("measured_step_s", sa.Double(), nullable=True),
        sa.Column("step_error", sa.Double(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=True),
        sa.Column("eval_loss", sa.Double(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("fit", sa.JSON(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("evaluations", sa.JSON(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("owner_pid", sa.BigInteger(), nullable=True),
        sa.Column("owner_started_s", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_finetunings"),
        sa.UniqueConstraint(
            "run_key", "generation", name="uq_tonnage_finetunings_run_key_generation"
        ),
    )
    for columns in INDEXES:
        name = f"ix_tonnage_finetunings_{'_'.join(columns)}"
        op.create_index(name, "tonnage_finetunings", list(columns))


def _events() -> None:
    op.create_table(
        "tonnage_finetuning_events",
        sa.Column("finetuning_id", sa.String(length=40), nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Double(), nullable=True),
        sa.Column("loss", sa.Double(), nullable=True),
        sa.Column("eval_loss", sa.Double(), nullable=True),
        sa.Column("learning_rate", sa.Double(), nullable=True),
        sa.Column("tokens_per_s", sa.Double(), nullable=True),
        sa.Column("step_s", sa.Double(), nullable=True),
        sa.Column("left_s", sa.Double(), nullable=True),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["finetuning_id"],
            ["tonnage_finetunings.id"],
            name="fk_tonnage_finetuning_events_finetuning_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("finetuning_id", "step", name="pk_tonnage_finetuning_events"),
    )


def _rows() -> None:
    op.create_table(
        "tonnage_evaluation_rows",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("finetuning_id", sa.String(length=40), nullable=False),
        sa.Column("is_baseline", sa.Boolean(), nullable=False),
        sa.Column("task", sa.String(length=255), nullable=False),
        sa.Column("item", sa.String(length=1024), nullable=False),
        sa.Column("item_group", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["finetuning_id"],
            ["tonnage_finetunings.id"],
            name="fk_tonnage_evaluation_rows_finetuning_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_evaluation_rows"),
        sa.UniqueConstraint(
            "finetuning_id",
            "is_baseline",
            "task",
            "item",
            name="uq_tonnage_evaluation_rows_finetuning_id_is_baseline_task_item",
        ),
    )


def downgrade() -> None:
    op.drop_table("tonnage_evaluation_rows")
    op.drop_table("tonnage_finetuning_events")
    op.drop_table("tonnage_finetunings")
