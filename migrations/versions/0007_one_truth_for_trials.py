"""Trials are kept in our tables only: Optuna's own record of them goes, and a claim has the number
of its trial.

Earlier releases let Optuna keep a second record of each study in tables of its own in this
database. It is not needed any more. If these tables also hold studies that are not ours, only the
rows of ours are deleted. Interrupted studies continue from ``tonnage_trials``.

Revision 0007, after 0006.
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OF_TRIALS = (
    "trial_heartbeats",
    "trial_intermediate_values",
    "trial_values",
    "trial_params",
    "trial_system_attributes",
    "trial_user_attributes",
)
OF_STUDIES = ("trials", "study_system_attributes", "study_user_attributes", "study_directions")
VERSIONS = ("version_info", "alembic_version")
TYPES = ("trialstate", "studydirection", "trialvaluetype", "trialintermediatevaluetype")
"""Of PostgreSQL, for the tables above."""

OUR_ID = re.compile("st_[0-9a-z]{20}")
OPTUNAS_REVISION = re.compile(r"v\d+\.\d+\.\d+")
"""Optuna's Alembic revisions are its versions: ``v3.2.0.a``."""


def upgrade() -> None:
    op.add_column("tonnage_claims", sa.Column("number", sa.Integer(), nullable=True))
    connection = op.get_bind()
    if not _is_optunas(connection):
        return
    ours, others = _studies(connection)
    if others:
        _delete(connection, ours)
    else:
        _drop(connection)


def downgrade() -> None:
    # Optuna's tables are not restored: the earlier release creates them, empty, when it opens a
    # study. It then numbers the trials of an interrupted study from 0 again, which replaces those
    # that are stored, so finish interrupted studies before you downgrade.
    op.drop_column("tonnage_claims", "number")


def _is_optunas(connection: sa.Connection) -> bool:
    """Tables with these names may belong to another program."""
    columns = {"studies": "study_name", "trials": "study_id", "version_info": "library_version"}
    inspector = sa.inspect(connection)
    return all(
        inspector.has_table(table) and column in {c["name"] for c in inspector.get_columns(table)}
        for table, column in columns.items()
    )


def _studies(connection: sa.Connection) -> tuple[list[int], list[int]]:
    """The numbers of our studies, and of all others."""
    known = set(connection.execute(sa.text("SELECT id FROM tonnage_studies")).scalars())
    found = connection.execute(sa.text("SELECT study_id, study_name FROM studies")).all()
    ours = [number for number, name in found if name in known or OUR_ID.fullmatch(name)]
    return ours, [number for number, _ in found if number not in ours]


def _delete(connection: sa.Connection, study_ids: list[int]) -> None:
    trials = "SELECT trial_id FROM trials WHERE study_id = :study"
    statements = [
        *(f"DELETE FROM {table} WHERE trial_id IN ({trials})" for table in OF_TRIALS),
        *(f"DELETE FROM {table} WHERE study_id = :study" for table in (*OF_STUDIES, "studies")),
    ]
    for study_id in study_ids:
        for statement in statements:
            connection.execute(sa.text(statement), {"study": study_id})


def _drop(connection: sa.Connection) -> None:
    existing = set(sa.inspect(connection).get_table_names())
    tables = [*OF_TRIALS, *OF_STUDIES, "studies", *VERSIONS]
    if "alembic_version" in existing:
        revisions = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars()
        if not all(OPTUNAS_REVISION.match(each) for each in revisions):
            tables.remove("alembic_version")  # another program's
    for table in tables:
        if table in existing:
            op.drop_table(table)
    if connection.dialect.name == "postgresql":
        used = set(
            connection.execute(sa.text("SELECT udt_name FROM information_schema.columns")).scalars()
        )
        for name in TYPES:
            if name not in used:
                connection.execute(sa.text(f"DROP TYPE IF EXISTS {name}"))
