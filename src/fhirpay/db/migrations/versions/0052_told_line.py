"""The lines of what EHRs are told after a payment, each of one line that it takes back; refunds that failed late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "told_line",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("side", sa.BigInteger(), nullable=False),
        sa.Column("takes_back", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject", "number"),
    )
    op.create_index("ix_told_line_tenant_id_payment_id", "told_line", ["tenant_id", "payment_id"])
    op.add_column("payment_movement", sa.Column("restores", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
