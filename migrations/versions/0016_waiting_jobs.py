"""An index of the jobs that wait: looking for work must not read every job that was ever finished.

Revision 0016, after 0015.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INDEX = "ix_tonnage_jobs_waiting"
WAITS = sa.text("state IN ('queued', 'interrupted')")


def upgrade() -> None:
    op.create_index(INDEX, "tonnage_jobs", ["id"], sqlite_where=WAITS, postgresql_where=WAITS)


def downgrade() -> None:
    op.drop_index(INDEX, "tonnage_jobs")
