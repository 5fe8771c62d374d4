"""Trials know how large their model is: throughput is shown against it without reading the whole
measurements.

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KNOWN = """
UPDATE tonnage_trials SET parameters = (
    SELECT MAX({parameters})
    FROM tonnage_measurements AS m
    WHERE m.study_id = tonnage_trials.study_id AND m.trial_number = tonnage_trials.number
)
"""
_PARAMETERS = {
    "sqlite": "CAST(json_extract(m.document, '$.parameters') AS INTEGER)",
    "postgresql": "CAST(m.document ->> 'parameters' AS BIGINT)",
}


def upgrade() -> None:
    op.add_column("tonnage_trials", sa.Column("parameters", sa.BigInteger(), nullable=True))
    op.execute(_KNOWN.format(parameters=_PARAMETERS[op.get_bind().dialect.name]))


def downgrade() -> None:
    op.drop_column("tonnage_trials", "parameters")
