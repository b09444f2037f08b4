"""Money of a capture that came back, what it takes back of each allocation, and what a payer has had twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("allocation", sa.Column("returned_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "payment_return",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("return_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("reverses", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("recovered_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("booked_at", sa.BigInteger(), nullable=True),
        sa.Column("business_date", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "return_id", name=op.f("pk_payment_return")),
        sa.UniqueConstraint(
            "tenant_id",
            "payment_id",
            "reference",
            name=op.f("uq_payment_return_tenant_id_payment_id_reference"),
        ),
    )
    op.create_index(op.f("ix_payment_return_tenant_id_reference"), "payment_return", ["tenant_id", "reference"])
    op.create_table(
        "recovery",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("recovery_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_recovery_amount")),
        sa.PrimaryKeyConstraint("tenant_id", "recovery_id", name=op.f("pk_recovery")),
    )
    op.create_index(op.f("ix_recovery_tenant_id_account_ref"), "recovery", ["tenant_id", "account_ref"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
