"""A feed may be taken over from another system: its watermark, its go-live, and opening balances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("obligation", sa.Column("memo_minor", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "cutover_stage",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("interface", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("watermark", sa.Text(), nullable=False),
        sa.Column("said_by", sa.Text(), nullable=False),
        sa.Column("said_why", sa.Text(), nullable=False),
        sa.Column("said_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("stage IN ('backfill', 'live')", name=op.f("ck_cutover_stage_stage")),
        sa.PrimaryKeyConstraint("tenant_id", "interface", "number", name=op.f("pk_cutover_stage")),
    )
    op.create_table(
        "cutover_seen",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("interface", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "ref", "interface", name=op.f("pk_cutover_seen")),
    )
    op.create_table(
        "opening_balance",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("opening_id", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("interface", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.Column("imported_why", sa.Text(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("taken_back_by", sa.Text(), nullable=True),
        sa.Column("taken_back_why", sa.Text(), nullable=True),
        sa.Column("taken_back_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_opening_balance_amount")),
        sa.PrimaryKeyConstraint("tenant_id", "opening_id", name=op.f("pk_opening_balance")),
        sa.UniqueConstraint("tenant_id", "reference", name=op.f("uq_opening_balance_tenant_id_reference")),
    )
    op.create_index(op.f("ix_opening_balance_tenant_id_account_ref"), "opening_balance", ["tenant_id", "account_ref"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
