"""What the HTTP interface keeps: API keys, idempotent replies, checks; measurements found by more.

Revision 0003, after 0002. A measurement's workload and device are copied out of its document
into columns, its device's fingerprint out of its study, so that they can be looked up by them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True)
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

COPIED = (("workload", 1024), ("device", 64), ("fingerprint", 64))
LOOKED_UP = ("workload", "fingerprint", "verdict")


def upgrade() -> None:
    op.create_table(
        "tonnage_api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_api_keys"),
        sa.UniqueConstraint("token_hash", name="uq_tonnage_api_keys_token_hash"),
    )
    op.create_table(
        "tonnage_idempotent_replies",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("caller", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(length=255), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_idempotent_replies"),
        sa.UniqueConstraint(
            "caller", "operation", "key", name="uq_tonnage_idempotent_replies_caller_operation_key"
        ),
    )
    op.create_index(
        "ix_tonnage_idempotent_replies_created_at", "tonnage_idempotent_replies", ["created_at"]
    )
    op.create_table(
        "tonnage_checks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("workload", sa.String(length=1024), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("recommendation_id", sa.String(length=40), nullable=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["recommendation_id"],
            ["tonnage_recommendations.id"],
            name="fk_tonnage_checks_recommendation_id",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_checks"),
    )
    for column in ("verdict", "fingerprint", "recommendation_id", "created_at"):
        op.create_index(f"ix_tonnage_checks_{column}", "tonnage_checks", [column])
    op.create_index("ix_tonnage_checks_workload_id", "tonnage_checks", ["workload", "id"])

    for name, length in COPIED:
        column = sa.Column(name, sa.String(length=length), nullable=False, server_default="")
        op.add_column("tonnage_measurements", column)
    _copy()
    for name in LOOKED_UP:
        op.create_index(f"ix_tonnage_measurements_{name}_id", "tonnage_measurements", [name, "id"])


def _copy() -> None:
    if op.get_bind().dialect.name == "postgresql":
        workload, device = "document ->> 'workload'", "document ->> 'device'"
    else:
        workload, device = "document ->> '$.workload'", "document ->> '$.device'"
    op.execute(
        f"UPDATE tonnage_measurements SET workload = coalesce({workload}, ''), "
        f"device = coalesce({device}, ''), fingerprint = coalesce((SELECT d.key "
        "FROM tonnage_studies s JOIN tonnage_devices d ON d.id = s.device_id "
        "WHERE s.id = tonnage_measurements.study_id), '')"
    )


def downgrade() -> None:
    for name in LOOKED_UP:
        op.drop_index(f"ix_tonnage_measurements_{name}_id", "tonnage_measurements")
    for name, _ in COPIED:
        op.drop_column("tonnage_measurements", name)
    for table in ("tonnage_checks", "tonnage_idempotent_replies", "tonnage_api_keys"):
        op.drop_table(table)
