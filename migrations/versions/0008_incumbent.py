"""A study knows which of its trials would be recommended now: its page shows that choice of the
search instead of making one.

Revision 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tonnage_studies", sa.Column("incumbent", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("tonnage_studies", "incumbent")
