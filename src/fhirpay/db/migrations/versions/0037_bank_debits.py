"""Bank debits: what a payment was paid with and until when it may come back, mandates, notices of change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payment", sa.Column("tender", sa.Text(), server_default="", nullable=False))
    op.add_column("payment", sa.Column("returnable_until", sa.BigInteger(), nullable=True))
    op.add_column("payment", sa.Column("retry_of", sa.Text(), nullable=True))
    op.add_column("payment", sa.Column("retry", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("stored_method", sa.Column("kind", sa.Text(), server_default="card", nullable=False))
    op.create_table(
        "mandate",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("method_id", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column("sec_code", sa.Text(), nullable=False),
        sa.Column("processor_ref", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "method_id", name=op.f("pk_mandate")),
    )
    op.create_table(
        "notice_of_change",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("method_id", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "method_id", "reference", name=op.f("pk_notice_of_change")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
