"""How far each EHR was read, by whom, and which versions of its resources were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "poll_lease",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection", name=op.f("pk_poll_lease")),
    )
    op.create_table(
        "poll_mark",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("link", sa.String(), nullable=False),
        sa.Column("passed", sa.String(), nullable=False),
        sa.Column("pages", sa.BigInteger(), nullable=False),
        sa.Column("page_size", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("unfiltered", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection", "resource_type", name=op.f("pk_poll_mark")),
    )
    op.create_table(
        "poll_seen",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection", "resource_type", "resource_id", name=op.f("pk_poll_seen")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
