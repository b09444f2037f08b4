"""Which payment each line of a payout was found to be of, by which rule; operations by what they are looked up by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "line_match",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("line_ref", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Text(), nullable=False),
        sa.Column("matched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "merchant", "line_ref"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_line_match_tenant_id_payment_id", "line_match", ["tenant_id", "payment_id"])
    of_refund, by_rule = sa.text("refund_id <> ''"), sa.text("rule <> 'reference'")
    op.create_index(
        "ix_line_match_of_refund",
        "line_match",
        ["tenant_id", "refund_id"],
        sqlite_where=of_refund,
        postgresql_where=of_refund,
    )
    op.create_index(
        "ix_line_match_by_rule", "line_match", ["tenant_id", "rule"], sqlite_where=by_rule, postgresql_where=by_rule
    )
    said = sa.text("processor_ref IS NOT NULL")
    op.create_index(
        "ix_operation_processor_ref",
        "operation",
        ["tenant_id", "processor_ref"],
        sqlite_where=said,
        postgresql_where=said,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
