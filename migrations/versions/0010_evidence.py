"""Evidence for the claims of knowledge pages, and jobs that are ablations.

Revision 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INDEXES = (
    ("page", "id"),
    ("claim", "id"),
    ("verdict", "id"),
    ("question", "id"),
    ("fingerprint",),
    ("measured_at",),
)


def upgrade() -> None:
    op.create_table(
        "tonnage_evidence",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("question", sa.String(length=64), nullable=False),
        sa.Column("page", sa.String(length=255), nullable=False),
        sa.Column("claim", sa.String(length=512), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.Column("workload", sa.String(length=1024), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_evidence"),
    )
    for columns in INDEXES:
        name = f"ix_tonnage_evidence_{'_'.join(columns)}"
        op.create_index(name, "tonnage_evidence", list(columns))
    kind = sa.Column("kind", sa.String(length=16), server_default="study", nullable=False)
    op.add_column("tonnage_jobs", kind)
    op.create_index("ix_tonnage_jobs_kind_id", "tonnage_jobs", ["kind", "id"])


def downgrade() -> None:
    op.execute("DELETE FROM tonnage_jobs WHERE kind <> 'study'")
    op.drop_index("ix_tonnage_jobs_kind_id", "tonnage_jobs")
    op.drop_column("tonnage_jobs", "kind")
    op.drop_table("tonnage_evidence")
