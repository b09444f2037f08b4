"""Matches of lines are kept as lines stand in payouts, and so is the index that lines are walked along."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_payout_line_tenant_id_merchant_payout_ref", "payout_line")
    op.create_index(
        "ix_payout_line_tenant_id_merchant_payout_ref_line_ref",
        "payout_line",
        ["tenant_id", "merchant", "payout_ref", "line_ref"],
        unique=True,
    )
    op.rename_table("line_match", "line_match_before")
    for name in ("ix_line_match_tenant_id_payment_id", "ix_line_match_of_refund", "ix_line_match_by_rule"):
        op.drop_index(name, "line_match_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE line_match_before RENAME CONSTRAINT pk_line_match TO pk_line_match_before")
    op.create_table(
        "line_match",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("payout_ref", sa.Text(), nullable=False),
        sa.Column("line_ref", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Text(), nullable=False),
        sa.Column("matched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "merchant", "payout_ref", "line_ref", name=op.f("pk_line_match")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO line_match SELECT l.tenant_id, l.merchant, l.payout_ref, l.line_ref, m.payment_id, m.refund_id,"
        " m.rule, m.confidence, m.matched_at FROM payout_line l"
        " JOIN line_match_before m ON m.tenant_id = l.tenant_id AND m.merchant = l.merchant"
        " AND m.line_ref = l.line_ref ORDER BY l.tenant_id, l.merchant, l.payout_ref, l.line_ref"
    )
    op.drop_table("line_match_before")
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


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
