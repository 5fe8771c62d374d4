"""First tables: devices, workloads, studies, trials, measurements, predictions, recommendations.

Revision 0001, the first. Column types are SQLAlchemy's own, not those of app.database.types: what
a migration does must not change when the application does.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True)
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "tonnage_devices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("class_key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("first_seen_at", UTC, nullable=False),
        sa.Column("last_seen_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_devices"),
        sa.UniqueConstraint("key", name="uq_tonnage_devices_key"),
    )
    op.create_index("ix_tonnage_devices_class_key", "tonnage_devices", ["class_key"])

    op.create_table(
        "tonnage_workloads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(length=1024), nullable=False),
        sa.Column("source_hash", sa.String(length=64), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("dataset_size", sa.BigInteger(), nullable=True),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("first_seen_at", UTC, nullable=False),
        sa.Column("last_seen_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_workloads"),
        sa.UniqueConstraint(
            "reference", "source_hash", name="uq_tonnage_workloads_reference_source_hash"
        ),
    )
    op.create_table(
        "tonnage_studies",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("scope_key", sa.String(length=64), nullable=False),
        sa.Column("budget", sa.String(length=64), nullable=False),
        sa.Column("workload_id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("finished_at", UTC, nullable=True),
        sa.Column("wall_s", sa.Double(), nullable=False),
        sa.Column("owner_pid", sa.BigInteger(), nullable=True),
        sa.Column("owner_host", sa.String(length=255), nullable=True),
        sa.Column("owner_started_s", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["tonnage_devices.id"], name="fk_tonnage_studies_device_id"
        ),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["tonnage_workloads.id"], name="fk_tonnage_studies_workload_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_studies"),
        sa.UniqueConstraint("key", "generation", name="uq_tonnage_studies_key_generation"),
    )
    op.create_index("ix_tonnage_studies_created_at", "tonnage_studies", ["created_at"])
    op.create_index("ix_tonnage_studies_device_id", "tonnage_studies", ["device_id"])
    op.create_index("ix_tonnage_studies_scope_key", "tonnage_studies", ["scope_key"])
    op.create_index("ix_tonnage_studies_state", "tonnage_studies", ["state"])
    op.create_index("ix_tonnage_studies_workload_id", "tonnage_studies", ["workload_id"])

    op.create_table(
        "tonnage_measurements",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("scope_key", sa.String(length=64), nullable=False),
        sa.Column("study_id", sa.String(length=40), nullable=True),
        sa.Column("trial_number", sa.Integer(), nullable=True),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("batch_size", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("step_mean_s", sa.Double(), nullable=True),
        sa.Column("tainted", sa.Boolean(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["tonnage_studies.id"],
            name="fk_tonnage_measurements_study_id",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_measurements"),
    )
    op.create_index("ix_tonnage_measurements_created_at", "tonnage_measurements", ["created_at"])
    op.create_index(
        "ix_tonnage_measurements_scope_key_config_hash_batch_size",
        "tonnage_measurements",
        ["scope_key", "config_hash", "batch_size"],
    )
    op.create_index(
        "ix_tonnage_measurements_study_id_trial_number",
        "tonnage_measurements",
        ["study_id", "trial_number"],
    )

    op.create_table(
        "tonnage_recommendations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("workload", sa.String(length=1024), nullable=False),
        sa.Column("budget", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("scope_key", sa.String(length=64), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["tonnage_studies.id"],
            name="fk_tonnage_recommendations_study_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_recommendations"),
    )
    op.create_index(
        "ix_tonnage_recommendations_created_at", "tonnage_recommendations", ["created_at"]
    )
    op.create_index(
        "ix_tonnage_recommendations_fingerprint", "tonnage_recommendations", ["fingerprint"]
    )
    op.create_index(
        "ix_tonnage_recommendations_scope_key", "tonnage_recommendations", ["scope_key"]
    )
    op.create_index("ix_tonnage_recommendations_study_id", "tonnage_recommendations", ["study_id"])
    op.create_index(
        "ix_tonnage_recommendations_workload_budget_device",
        "tonnage_recommendations",
        ["workload", "budget", "device"],
    )

    op.create_table(
        "tonnage_trials",
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("batch_size", sa.BigInteger(), nullable=True),
        sa.Column("binding", sa.String(length=32), nullable=True),
        sa.Column("throughput_samples_per_s", sa.Double(), nullable=True),
        sa.Column("violation", sa.JSON(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("wall_s", sa.Double(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["tonnage_studies.id"],
            name="fk_tonnage_trials_study_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_tonnage_trials"),
    )
    op.create_table(
        "tonnage_predictions",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("measurement_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.Column("predicted", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("measured", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["measurement_id"],
            ["tonnage_measurements.id"],
            name="fk_tonnage_predictions_measurement_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tonnage_predictions"),
        sa.UniqueConstraint(
            "measurement_id", "quantity", name="uq_tonnage_predictions_measurement_id_quantity"
        ),
    )
    op.create_table(
        "tonnage_study_measurements",
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("measurement_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["measurement_id"],
            ["tonnage_measurements.id"],
            name="fk_tonnage_study_measurements_measurement_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["tonnage_studies.id"],
            name="fk_tonnage_study_measurements_study_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", "measurement_id", name="pk_tonnage_study_measurements"),
    )
    op.create_index(
        "ix_tonnage_study_measurements_measurement_id",
        "tonnage_study_measurements",
        ["measurement_id"],
    )


def downgrade() -> None:
    for table in (
        "tonnage_study_measurements",
        "tonnage_predictions",
        "tonnage_trials",
        "tonnage_recommendations",
        "tonnage_measurements",
        "tonnage_studies",
        "tonnage_workloads",
        "tonnage_devices",
    ):
        op.drop_table(table)  # its indexes go with it
