"""Energy of the measured steps, and why it is not available.

Revision 0012, after 0011.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def columns() -> list[sa.Column[Any]]:
    """Those that ``tonnage_measurements`` gets."""
    return [
        sa.Column("energy_j", sa.Double(), nullable=True),
        sa.Column("energy_per_sample_j", sa.Double(), nullable=True),
        sa.Column("energy_source", sa.String(length=64), nullable=True),
        sa.Column("energy_unavailable", sa.Text(), server_default="", nullable=False),
        sa.Column("host_energy_j", sa.Double(), nullable=True),
    ]


def upgrade() -> None:
    for column in columns():
        op.add_column("tonnage_measurements", column)


def downgrade() -> None:
    for column in reversed(columns()):
        op.drop_column("tonnage_measurements", column.name)
