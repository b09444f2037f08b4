"""Matches of bank lines that somebody took back: by whom and why, and which line is not which payout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("bank_match", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unmatched_by", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("unmatched_why", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("unmatched_at", UtcDateTime(), nullable=True))
    op.create_table(
        "bank_apart",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("match_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "line_id", "payout_id", "match_id", name=op.f("pk_bank_apart")),
    )
    with op.batch_alter_table("bank_apart", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bank_apart_tenant_id_payout_id"), ["tenant_id", "payout_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
