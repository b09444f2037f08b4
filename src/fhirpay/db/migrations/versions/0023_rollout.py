"""Postings may wait for staff or never be sent, and what would have been posted is kept to be compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    states = "state IN ('shadow', 'proposed', 'rejected', 'pending', 'sent', 'posted', 'unknown', 'parked')"
    open_ = sa.text("state NOT IN ('posted', 'shadow', 'rejected')")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_posting_state"), "posting", type_="check")
    op.drop_index("ix_posting_unfinished", "posting")
    with op.batch_alter_table("posting", schema=None, recreate="auto") as batch_op:
        batch_op.add_column(sa.Column("decided_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("decided_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("decided_why", sa.Text(), nullable=True))
        batch_op.create_check_constraint(op.f("ck_posting_state"), states)
    op.create_index(
        "ix_posting_unfinished",
        "posting",
        ["tenant_id", "connection"],
        unique=False,
        sqlite_where=open_,
        postgresql_where=open_,
    )
    op.create_table(
        "posting_fact",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("posting_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('payment', 'refund', 'adjustment')", name=op.f("ck_posting_fact_kind")),
        sa.PrimaryKeyConstraint("tenant_id", "posting_id", "account_ref", name=op.f("pk_posting_fact")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
