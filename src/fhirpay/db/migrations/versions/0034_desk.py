"""What a front desk takes: tenders, what happened to posted money since, the till of a ledger leg.

A column is added to the ledger's legs; no row of it changes, so its triggers stay as they are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger_posting", sa.Column("till", sa.Text(), nullable=True))
    op.create_table(
        "tender",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("till", sa.Text(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("tendered_minor", sa.BigInteger(), nullable=False),
        sa.Column("change_minor", sa.BigInteger(), nullable=False),
        sa.Column("check_number", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("deposited_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "payment_id", name=op.f("pk_tender")),
    )
    op.create_table(
        "till",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("till", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "till", name=op.f("pk_till")),
    )
    op.create_table(
        "payment_movement",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("movement_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("moved_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "movement_id", name=op.f("pk_payment_movement")),
    )
    op.create_index("ix_payment_movement_tenant_id_payment_id", "payment_movement", ["tenant_id", "payment_id"])
    op.create_table(
        "movement_line",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("movement_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("allocation", sa.BigInteger(), nullable=False),
        sa.Column("obligation_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "movement_id", "number", name=op.f("pk_movement_line")),
    )
    op.create_index("ix_movement_line_tenant_id_account_ref", "movement_line", ["tenant_id", "account_ref"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
