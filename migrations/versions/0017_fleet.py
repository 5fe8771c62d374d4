"""The nodes of a fleet; and the class of device on which a job may go on when its own is gone.

Revision 0017, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tonnage_fleet_nodes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("drain", sa.String(length=8), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("runner_id", sa.String(length=40), nullable=True),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_fleet_nodes"),
    )
    op.create_index("ix_tonnage_fleet_nodes_name", "tonnage_fleet_nodes", ["name"])
    op.add_column("tonnage_jobs", sa.Column("resume_class", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("tonnage_jobs", "resume_class")
    op.drop_index("ix_tonnage_fleet_nodes_name", "tonnage_fleet_nodes")
    op.drop_table("tonnage_fleet_nodes")
