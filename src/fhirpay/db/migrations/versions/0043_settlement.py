"""Payouts, the states that they were seen in, their lines, and how far each merchant was read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payout",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("processor_ref", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("itemised", sa.Boolean(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("arrives_on", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "payout_id", name=op.f("pk_payout")),
        sa.UniqueConstraint(
            "tenant_id", "merchant", "processor_ref", name=op.f("uq_payout_tenant_id_merchant_processor_ref")
        ),
    )
    with op.batch_alter_table("payout", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_payout_tenant_id_merchant_created_at"),
            ["tenant_id", "merchant", "created_at"],
            unique=False,
        )

    op.create_table(
        "payout_fact",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "payout_id", "state", name=op.f("pk_payout_fact")),
    )

    op.create_table(
        "payout_line",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("line_ref", sa.Text(), nullable=False),
        sa.Column("payout_ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("raw_type", sa.Text(), nullable=False),
        sa.Column("gross_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("net_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("payment_ref", sa.Text(), nullable=False),
        sa.Column("of_ref", sa.Text(), nullable=False),
        sa.Column("our_ref", sa.Text(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("available_at", UtcDateTime(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("booked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "merchant", "line_ref", name=op.f("pk_payout_line")),
    )
    with op.batch_alter_table("payout_line", schema=None) as batch_op:
        for columns in (
            ["tenant_id", "merchant", "payout_ref"],
            ["tenant_id", "state", "merchant", "line_ref"],
            ["tenant_id", "payment_id"],
            ["tenant_id", "line_ref"],
        ):
            batch_op.create_index(batch_op.f(f"ix_payout_line_{'_'.join(columns)}"), columns, unique=False)

    op.create_table(
        "settlement_mark",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("watermark", UtcDateTime(), nullable=False),
        sa.Column("read_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "merchant", name=op.f("pk_settlement_mark")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
