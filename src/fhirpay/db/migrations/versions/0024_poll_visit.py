"""Which encounters are looked at, at an EHR that finds charges only by encounter, and who is whose twin there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("poll_lease", sa.Column("visits_from", sa.BigInteger(), nullable=True))
    op.add_column("poll_lease", sa.Column("visit_failures", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "poll_visit",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("remote", sa.String(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("looks", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("unfound", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection", "reference", name=op.f("pk_poll_visit")),
    )
    op.create_index("ix_poll_visit_tenant_id_connection_due_at", "poll_visit", ["tenant_id", "connection", "due_at"])
    op.create_index("ix_poll_visit_tenant_id_connection_remote", "poll_visit", ["tenant_id", "connection", "remote"])
    op.create_table(
        "poll_twin",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection", "resource_type", "resource_id", name=op.f("pk_poll_twin")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_poll_twin_tenant_id_connection_reference", "poll_twin", ["tenant_id", "connection", "reference"]
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
