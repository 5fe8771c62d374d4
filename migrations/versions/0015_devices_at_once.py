"""A study on many devices at once: how many may work on it, where each does, and which job it
assists.

Revision 0015, after 0014.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def columns() -> list[sa.Column[Any]]:
    """Those that ``tonnage_jobs`` gets."""
    return [
        sa.Column("devices_at_once", sa.Integer(), server_default="1", nullable=False),
        sa.Column("class_key", sa.String(length=64), nullable=True),
        sa.Column("runs_on", sa.JSON(), nullable=True),
        sa.Column("assists", sa.String(length=40), nullable=True),
    ]


def upgrade() -> None:
    for column in columns():
        op.add_column("tonnage_jobs", column)
    op.create_index("ix_tonnage_jobs_assists", "tonnage_jobs", ["assists"])


def downgrade() -> None:
    op.drop_index("ix_tonnage_jobs_assists", "tonnage_jobs")
    for column in reversed(columns()):
        op.drop_column("tonnage_jobs", column.name)
