"""Posting files: what was made for whom, where it is, and which postings stand in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "posting_file_head",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection", name=op.f("pk_posting_file_head")),
    )
    op.create_table(
        "posting_file",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("postings", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("part_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_why", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("state IN ('made', 'placing', 'placed', 'unknown')", name=op.f("ck_posting_file_state")),
        sa.PrimaryKeyConstraint("tenant_id", "connection", "number", name=op.f("pk_posting_file")),
        sa.UniqueConstraint("tenant_id", "connection", "name", name=op.f("uq_posting_file_tenant_id_connection_name")),
    )
    op.add_column("posting", sa.Column("file", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_posting_file",
        "posting",
        ["tenant_id", "connection", "file"],
        sqlite_where=sa.text("file IS NOT NULL"),
        postgresql_where=sa.text("file IS NOT NULL"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
