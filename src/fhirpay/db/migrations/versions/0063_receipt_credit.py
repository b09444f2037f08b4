"""Receipts of nobody that are credited to accounts, in parts; fees that a processor debits at the bank."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("bank_line", schema=None) as batch_op:
        batch_op.add_column(sa.Column("credited_minor", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("bank_match", schema=None) as batch_op:
        batch_op.add_column(sa.Column("merchant", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "receipt_credit",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("back_by", sa.Text(), nullable=False),
        sa.Column("back_why", sa.Text(), nullable=False),
        sa.Column("back_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "payment_id", name=op.f("pk_receipt_credit")),
    )
    with op.batch_alter_table("receipt_credit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_receipt_credit_tenant_id_line_id"), ["tenant_id", "line_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
