"""Postings know by which way they were sent, and are found by when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    unfinished = sa.text("state <> 'posted'")
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.add_column(sa.Column("way", sa.Text(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_posting_tenant_id_connection_sent_at"), ["tenant_id", "connection", "sent_at"], unique=False
        )
        batch_op.create_index(
            "ix_posting_unfinished",
            ["tenant_id", "connection"],
            unique=False,
            sqlite_where=unfinished,
            postgresql_where=unfinished,
        )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
