"""Disputes, what was seen of them, and what lost ones took of their payments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dispute",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("processor_ref", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("funds", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("withdrawn_minor", sa.BigInteger(), nullable=False),
        sa.Column("reinstated_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("lost_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("respond_by", sa.BigInteger(), nullable=True),
        sa.Column("accepted_by", sa.Text(), nullable=False),
        sa.Column("accepted_why", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "dispute_id", name=op.f("pk_dispute")),
        sa.UniqueConstraint(
            "tenant_id", "merchant", "processor_ref", name=op.f("uq_dispute_tenant_id_merchant_processor_ref")
        ),
    )
    with op.batch_alter_table("dispute", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dispute_tenant_id_payment_id"), ["tenant_id", "payment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_dispute_tenant_id_state"), ["tenant_id", "state"], unique=False)

    op.create_table(
        "dispute_fact",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "dispute_id",
            "kind",
            "round",
            "reference",
            "amount_minor",
            "fee_minor",
            "currency",
            name=op.f("pk_dispute_fact"),
        ),
    )

    op.create_table(
        "dispute_loss",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("loss_id", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "loss_id", name=op.f("pk_dispute_loss")),
        sa.UniqueConstraint(
            "tenant_id", "dispute_id", "number", name=op.f("uq_dispute_loss_tenant_id_dispute_id_number")
        ),
    )
    with op.batch_alter_table("dispute_loss", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_dispute_loss_tenant_id_payment_id"), ["tenant_id", "payment_id"], unique=False
        )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
