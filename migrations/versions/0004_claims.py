"""Claims: which process settles which config of a study, where several work on it.

Revision 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tonnage_claims",
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("owner_pid", sa.BigInteger(), nullable=False),
        sa.Column("owner_host", sa.String(length=255), nullable=False),
        sa.Column("owner_started_s", sa.Double(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["tonnage_studies.id"],
            name="fk_tonnage_claims_study_id_tonnage_studies",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", "config_hash", name="pk_tonnage_claims"),
    )


def downgrade() -> None:
    op.drop_table("tonnage_claims")
