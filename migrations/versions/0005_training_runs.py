"""Training runs that were started with a recommendation; measurements found by their config.

Revision 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LOOKED_UP = ("outcome", "fingerprint", "recommendation_id", "created_at")


def upgrade() -> None:
    op.create_table(
        "tonnage_runs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("exit_status", sa.Integer(), nullable=False),
        sa.Column("workload", sa.String(length=1024), nullable=False),
        sa.Column("budget", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("recommendation_id", sa.String(length=40), nullable=True),
        sa.Column("batch_size", sa.BigInteger(), nullable=False),
        sa.Column("accumulation", sa.BigInteger(), nullable=False),
        sa.Column("step_time_s", sa.Double(), nullable=True),
        sa.Column("wall_s", sa.Double(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["recommendation_id"],
            ["tonnage_recommendations.id"],
            name="fk_tonnage_runs_recommendation_id",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_runs"),
    )
    for column in LOOKED_UP:
        op.create_index(f"ix_tonnage_runs_{column}", "tonnage_runs", [column])
    op.create_index("ix_tonnage_runs_workload_id", "tonnage_runs", ["workload", "id"])
    op.create_index(
        "ix_tonnage_measurements_workload_config_hash",
        "tonnage_measurements",
        ["workload", "config_hash"],
    )


def downgrade() -> None:
    op.drop_index("ix_tonnage_measurements_workload_config_hash", "tonnage_measurements")
    op.drop_table("tonnage_runs")
