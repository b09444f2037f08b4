"""The app that EHRs launch: sign-ins on their way, and the sessions that came of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "smart_launch",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("state_hash", sa.String(), nullable=False),
        sa.Column("browser_hash", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "state_hash", name=op.f("pk_smart_launch")),
    )
    op.create_index(op.f("ix_smart_launch_tenant_id_expires_at"), "smart_launch", ["tenant_id", "expires_at"])
    op.create_table(
        "smart_session",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("fhir_user", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("remote_patient", sa.String(), nullable=False),
        sa.Column("patient_ref", sa.String(), nullable=False),
        sa.Column("encounter_ref", sa.String(), nullable=False),
        sa.Column("encounter_said", sa.Boolean(), nullable=False),
        sa.Column("refresh", sa.String(), nullable=False),
        sa.Column("checked_until", sa.BigInteger(), nullable=False),
        sa.Column("renewing_until", sa.BigInteger(), nullable=True),
        sa.Column("renewed", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_why", sa.String(), nullable=False),
        sa.CheckConstraint("kind IN ('staff', 'patient')", name=op.f("ck_smart_session_kind")),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", name=op.f("pk_smart_session")),
    )
    op.create_index(op.f("ix_smart_session_tenant_id_patient_ref"), "smart_session", ["tenant_id", "patient_ref"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
