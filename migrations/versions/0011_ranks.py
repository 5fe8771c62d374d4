"""Measurements of several devices that train as one: what each rank contributed, and what they came
to together.

Revision 0011, after 0010.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def columns() -> list[sa.Column[Any]]:
    """Those that ``tonnage_measurements`` gets."""
    return [
        sa.Column("limiting_rank", sa.Integer(), nullable=True),
        sa.Column("data_parallel", sa.Integer(), server_default="1", nullable=False),
        sa.Column("communication_share", sa.Double(), nullable=True),
        sa.Column("global_batch_size", sa.BigInteger(), nullable=True),
    ]


def upgrade() -> None:
    op.create_table(
        "tonnage_measurement_ranks",
        sa.Column("measurement_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("rank", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("batch_size", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("phase", sa.String(length=64), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("cap_bytes", sa.BigInteger(), nullable=True),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("static_bytes", sa.BigInteger(), nullable=True),
        sa.Column("communication_bytes", sa.BigInteger(), nullable=False),
        sa.Column("step_mean_s", sa.Double(), nullable=True),
        sa.Column("data_s", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["measurement_id"],
            ["tonnage_measurements.id"],
            name="fk_tonnage_measurement_ranks_measurement_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("measurement_id", "rank", name="pk_tonnage_measurement_ranks"),
    )
    for column in columns():
        op.add_column("tonnage_measurements", column)


def downgrade() -> None:
    for column in reversed(columns()):
        op.drop_column("tonnage_measurements", column.name)
    op.drop_table("tonnage_measurement_ranks")
