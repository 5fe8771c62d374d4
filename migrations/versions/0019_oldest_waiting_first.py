"""The index of waiting jobs, in the order in which they were asked for: ids begin with the kind of
job, so those of different kinds do not sort by time.

Revision 0019, after 0018.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

INDEX = "ix_tonnage_jobs_waiting"
WAITS = sa.text("state IN ('queued', 'interrupted')")


def upgrade() -> None:
    _index("created_at", "id")


def downgrade() -> None:
    _index("id")


def _index(*columns: str) -> None:
    op.drop_index(INDEX, "tonnage_jobs")
    op.create_index(
        INDEX, "tonnage_jobs", list(columns), sqlite_where=WAITS, postgresql_where=WAITS
    )
