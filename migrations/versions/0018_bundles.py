"""Bundles: working directories that users send along with a study.

Revision 0018, after 0017.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tonnage_bundles",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("sent_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_bundles"),
    )
    op.create_index("ix_tonnage_bundles_used_at", "tonnage_bundles", ["used_at"])
    op.create_table(
        "tonnage_bundle_chunks",
        sa.Column("bundle_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_id"],
            ["tonnage_bundles.id"],
            name="fk_tonnage_bundle_chunks_bundle_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("bundle_id", "number", name="pk_tonnage_bundle_chunks"),
    )


def downgrade() -> None:
    op.drop_table("tonnage_bundle_chunks")
    op.drop_index("ix_tonnage_bundles_used_at", "tonnage_bundles")
    op.drop_table("tonnage_bundles")
