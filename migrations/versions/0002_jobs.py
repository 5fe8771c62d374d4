"""Jobs: the queue, what happened to each job, and the runners that take them.

Revision 0002, after 0001. Column types are SQLAlchemy's own (see 0001).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tonnage_runners",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started_s", sa.Double(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("started_at", UTC, nullable=False),
        sa.Column("heartbeat_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_runners"),
    )
    op.create_table(
        "tonnage_jobs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("active_key", sa.String(length=64), nullable=True),
        sa.Column("workload", sa.String(length=255), nullable=False),
        sa.Column("device", sa.String(length=255), nullable=True),
        sa.Column("study_id", sa.String(length=40), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("runner_id", sa.String(length=40), nullable=True),
        sa.Column("lease", sa.String(length=255), nullable=True),
        sa.Column("pid", sa.BigInteger(), nullable=True),
        sa.Column("resume_on", sa.String(length=255), nullable=True),
        sa.Column("elsewhere_at", UTC, nullable=True),
        sa.Column("last_event", sa.Integer(), nullable=False),
        sa.Column("wall_s", sa.Double(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("started_at", UTC, nullable=True),
        sa.Column("finished_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(
            ["runner_id"],
            ["tonnage_runners.id"],
            name="fk_tonnage_jobs_runner_id",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["tonnage_studies.id"],
            name="fk_tonnage_jobs_study_id",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_jobs"),
        sa.UniqueConstraint("active_key", name="uq_tonnage_jobs_active_key"),
        sa.UniqueConstraint("lease", name="uq_tonnage_jobs_lease"),
    )
    op.create_index("ix_tonnage_jobs_runner_id", "tonnage_jobs", ["runner_id"])
    op.create_index("ix_tonnage_jobs_state_id", "tonnage_jobs", ["state", "id"])
    op.create_index("ix_tonnage_jobs_study_id", "tonnage_jobs", ["study_id"])
    op.create_index("ix_tonnage_jobs_workload", "tonnage_jobs", ["workload"])

    op.create_table(
        "tonnage_job_keys",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["tonnage_jobs.id"], name="fk_tonnage_job_keys_job_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_tonnage_job_keys"),
    )
    op.create_index("ix_tonnage_job_keys_job_id", "tonnage_job_keys", ["job_id"])

    op.create_table(
        "tonnage_job_events",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["tonnage_jobs.id"],
            name="fk_tonnage_job_events_job_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "id", name="pk_tonnage_job_events"),
    )


def downgrade() -> None:
    for table in ("tonnage_job_events", "tonnage_job_keys", "tonnage_jobs", "tonnage_runners"):
        op.drop_table(table)  # its indexes go with it
